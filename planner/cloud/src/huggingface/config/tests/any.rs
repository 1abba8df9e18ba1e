//! Whatever somebody uploads as a `config.json`, reading it ends in an answer.

use proptest::prelude::*;

use super::models::fixtures;
use super::*;

/// What people, tools and accidents put into a field.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!(2),
            json!(7.0),
            json!(-3),
            json!(1.5),
            json!(1e300),
            json!(4_294_967_296_u64),
            json!(1_u64 << 40),
            json!(u64::MAX),
            json!(""),
            json!("auto"),
            json!("full_attention"),
            json!("LLG"),
            json!("M*-E"),
            json!("float32"),
        ]),
        (0_u64..100_000).prop_map(Value::from),
        "[a-z_]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[a-z_]{1,10}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// How a field is spoilt.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Replace(Value),
    /// A list loses its end; anything else is put into a list.
    Shorten(usize),
    /// The value of another field.
    Swap(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => Just(Change::Remove),
        4 => anything().prop_map(Change::Replace),
        1 => (0_usize..80).prop_map(Change::Shorten),
        2 => any::<usize>().prop_map(Change::Swap),
    ]
}

/// Every place of a configuration that holds a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                found.push(place.clone());
                places(inner, &place, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, inner) in items.iter().enumerate().take(3) {
                places(inner, &format!("{at}/{number}"), found);
            }
        }
        _ => {}
    }
}

fn spoil(config: &mut Value, at: usize, change: &Change) {
    let mut found = Vec::new();
    places(config, "", &mut found);
    if found.is_empty() {
        return;
    }
    let place = found[at % found.len()].clone();
    let other = match change {
        Change::Swap(other) => config.pointer(&found[other % found.len()]).cloned(),
        _ => None,
    };
    if let Change::Remove = change {
        let (parent, name) = place.rsplit_once('/').unwrap_or_default();
        if let Some(fields) = config.pointer_mut(parent).and_then(Value::as_object_mut) {
            fields.remove(name);
        }
        return;
    }
    let Some(value) = config.pointer_mut(&place) else {
        return;
    };
    match change {
        Change::Replace(new) => *value = new.clone(),
        Change::Shorten(length) => match value {
            Value::Array(items) => items.truncate(*length),
            single => *single = Value::Array(vec![single.clone()]),
        },
        Change::Swap(_) => *value = other.unwrap_or_default(),
        Change::Remove => {}
    }
}

/// What the planner takes for granted of every configuration it gets.
fn check(config: &ModelConfig) {
    if config.kind == ModelKind::Diffusion {
        return;
    }
    let kinds = config.layer_kinds;
    let sum = kinds.full + kinds.windowed + kinds.recurrent + kinds.shared + kinds.cross;
    assert!(sum - kinds.both <= config.layers, "{kinds:?}");
    assert!(kinds.both <= kinds.full && kinds.both <= kinds.recurrent);
    assert!(config.hidden_size > 0 && config.layers > 0);
    if !config.special.is_empty() {
        return;
    }
    assert!(config.vocab_size > 0);
    if kinds.full + kinds.windowed + kinds.shared + kinds.cross > 0 {
        assert!(config.attention_heads > 0);
        assert!(config.latent.is_some() || (config.kv_heads > 0 && config.head_dim > 0));
    }
    assert!(kinds.recurrent == 0 || config.recurrent.is_some());
    assert!(kinds.windowed == 0 || config.window.is_some_and(|window| window > 0));
    assert!(
        config.compress_ratios.is_empty() || config.compress_ratios.len() as u64 == config.layers
    );
    if let Some(experts) = &config.experts {
        assert!(experts.layers + experts.dense_layers <= config.layers);
        assert!(experts.count > 1 && experts.per_token > 0 && experts.per_token <= experts.count);
        assert!(experts.intermediate_size > 0);
    }
    assert_eq!(
        config.kind == ModelKind::EncoderDecoder,
        config.encoder.is_some()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_spoilt_configuration_is_read_or_refused(
        which in any::<usize>(),
        changes in proptest::collection::vec((any::<usize>(), change()), 1..5),
    ) {
        let fixtures = fixtures();
        let mut config = fixtures[which % fixtures.len()].config.clone();
        for (at, change) in &changes {
            spoil(&mut config, *at, change);
        }
        match parse_config(&config) {
            Ok(parsed) => check(&parsed),
            Err(error) => {
                prop_assert!(!error.field.is_empty() && !error.detail.is_empty());
                prop_assert!(error.to_string().len() < 400, "{}", error);
            }
        }
    }

    #[test]
    fn any_json_is_read_or_refused(value in anything()) {
        if let Ok(parsed) = parse_config(&value) {
            check(&parsed);
        }
    }
}

#[test]
fn every_model_keeps_what_the_planner_takes_for_granted() {
    for fixture in fixtures() {
        check(&parse_config(&fixture.config).expect("a model"));
    }
}
