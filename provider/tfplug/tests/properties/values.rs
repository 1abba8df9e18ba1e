//! Properties of the codecs and of the values themselves, over random types and values.

use std::collections::BTreeMap;

use crate::arbitrary::{Allow, choices, set};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tfplug::value::{
    Dynamic, Number, Type, Value, decode_json, decode_msgpack, encode_json, encode_msgpack,
    from_dynamic, to_dynamic,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messagepack_keeps_every_value(mut choices in choices()) {
        let ty = choices.ty(3, true);
        let value = choices.value(&ty, Allow::ALL);
        prop_assert_eq!(value.conforms_to(&ty), Ok(()));
        let bytes = encode_msgpack(&value, &ty).expect("it is of the type");
        prop_assert_eq!(decode_msgpack(&bytes, &ty), Ok(value));
    }

    #[test]
    fn json_keeps_every_known_value(mut choices in choices()) {
        let ty = choices.ty(3, true);
        let value = choices.value(&ty, Allow::KNOWN);
        let bytes = encode_json(&value, &ty).expect("it is known and of the type");
        prop_assert_eq!(decode_json(&bytes, &ty), Ok(value));
    }

    #[test]
    fn json_refuses_exactly_the_unknown(mut choices in choices()) {
        let ty = choices.ty(3, true);
        let value = choices.value(&ty, Allow::ALL);
        prop_assert_eq!(encode_json(&value, &ty).is_ok(), value.is_wholly_known());
    }

    #[test]
    fn types_are_kept_by_their_json(mut choices in choices()) {
        let ty = choices.ty(4, true);
        prop_assert_eq!(Type::from_json(ty.to_json().as_bytes()), Ok(ty));
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        mut choices in choices(),
    ) {
        let ty = choices.ty(3, true);
        if let Ok(value) = decode_msgpack(&bytes, &ty) {
            prop_assert_eq!(value.conforms_to(&ty), Ok(()));
        }
        // Any outcome is fine here, as long as there is one.
        let _ = (decode_json(&bytes, &ty), Type::from_json(&bytes));
    }

    #[test]
    fn a_damaged_value_is_refused_or_another_value(
        mut choices in choices(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let ty = choices.ty(3, true);
        let value = choices.value(&ty, Allow::ALL);
        let mut bytes = encode_msgpack(&value, &ty).expect("it is of the type");
        prop_assert!(decode_msgpack(&bytes[..bytes.len() - 1], &ty).is_err(), "cut short");
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(read) = decode_msgpack(&bytes, &ty) {
            let again = encode_msgpack(&read, &ty).expect("what was read can be written");
            prop_assert_eq!(decode_msgpack(&again, &ty), Ok(read));
        }
    }

    #[test]
    fn the_order_of_a_set_means_nothing(mut choices in choices()) {
        let element = choices.ty(2, false);
        let elements: Vec<_> = (0..4).map(|_| choices.value(&element, Allow::ALL)).collect();
        let backwards = set(elements.iter().rev().cloned());
        prop_assert_eq!(set(elements.into_iter()), backwards);
    }

    #[test]
    fn filling_in_gives_a_known_value_of_the_type(mut choices in choices()) {
        let ty = choices.ty(3, true);
        let value = choices.value(&ty, Allow::ALL);
        let filled = choices.fill(&value, &ty);
        prop_assert!(filled.is_wholly_known());
        prop_assert_eq!(filled.conforms_to(&ty), Ok(()));
    }

    #[test]
    fn numbers_order_as_their_difference_says(left in any::<i32>(), right in any::<i32>(), scale in 0_u32..20) {
        let number = |n: i32| format!("{n}e-{scale}").parse::<Number>().expect("a number");
        prop_assert_eq!(number(left).cmp(&number(right)), left.cmp(&right));
    }

    #[test]
    fn every_float_survives_as_a_number(float in any::<f64>()) {
        prop_assume!(float.is_finite());
        let number = Number::try_from(float).expect("it is finite");
        prop_assert_eq!(number.to_f64(), Some(float));
    }

    #[test]
    fn models_keep_every_value(mut choices in choices()) {
        let ty = Type::object([
            ("text", Type::String),
            ("flag", Type::Bool),
            ("exact", Type::Number),
            ("any", Type::Dynamic),
            ("list", Type::list(Type::map(Type::String))),
            ("inner", Type::object([("set", Type::set(Type::Number))])),
        ]);
        let value = choices.known(&ty, Allow::ALL);
        let model: Model = from_dynamic(value.clone()).expect("it fits the struct");
        prop_assert_eq!(to_dynamic(&model, &ty), Ok(value));
    }
}

type Texts = Value<BTreeMap<String, Value<String>>>;

#[derive(Debug, Serialize, Deserialize)]
struct Model {
    text: Value<String>,
    flag: Value<bool>,
    exact: Value<Number>,
    any: Dynamic,
    list: Value<Vec<Texts>>,
    inner: Value<Inner>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Inner {
    set: Value<Vec<Value<Number>>>,
}
