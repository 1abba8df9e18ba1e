//! What a provider does besides its resources: configuration, warnings, data sources, ephemeral
//! resources, functions, and what it says of itself.

use tfplug::framework::{FunctionError, Provider, Resource, Service};
use tfplug::testing::{Harness, assert_model_matches, assert_model_matches_schema};
use tfplug::value::{Dynamic, Value};
use tfplug::wire::{self, provider_server::Provider as _};

use crate::boxes::{
    BoxModel, BoxResource, BoxSource, Boxes, FoundBox, Join, Key, KeyModel, Settings, Shelf, boxes,
    harness, named,
};

#[test]
fn models_and_schemas_agree() {
    assert_model_matches_schema::<BoxResource>();
    let provider = Boxes {
        shelf: Shelf::default(),
    };
    assert_model_matches::<Settings>(&provider.schema());
    assert_eq!(tfplug::check::schema(&BoxResource.schema()), []);
}

#[tokio::test]
async fn warnings_are_shown_beside_the_result() {
    let shelf = Shelf::default();
    let harness = Harness::new(Boxes {
        shelf: shelf.clone(),
    });
    let warnings = harness
        .configure(&Settings {
            room: "cellar".into(),
        })
        .await
        .expect("it is allowed");
    assert_eq!(warnings.to_string(), "warning at room: It is dark there");

    let boxes = boxes(&harness);
    let labels = [("fragile".to_owned(), Value::from("yes"))]
        .into_iter()
        .collect();
    let config = BoxModel {
        labels: Value::Known(labels),
        ..named("a")
    };
    let saved = boxes.apply(None, &config).await.expect("it can be created");
    let read = boxes
        .read(&saved)
        .await
        .expect("readable")
        .expect("it is there");
    assert_eq!(
        read.warnings.to_string(),
        "warning at labels: Handle with care"
    );
}

#[tokio::test]
async fn an_unknown_provider_configuration_is_tolerated() {
    let harness = Harness::new(Boxes {
        shelf: Shelf::default(),
    });
    harness
        .configure(&Settings {
            room: Value::unknown(),
        })
        .await
        .expect("it is only a plan");
    boxes(&harness)
        .plan(None, &named("a"))
        .await
        .expect("it can be planned");
}

#[tokio::test]
async fn a_call_that_needs_the_client_of_an_unconfigured_provider_says_so() {
    let harness = Harness::new(Boxes {
        shelf: Shelf::default(),
    });
    let failed = boxes(&harness)
        .apply(None, &named("a"))
        .await
        .expect_err("there is no client");
    assert!(
        failed
            .diagnostics
            .to_string()
            .contains("Provider is not configured")
    );
}

#[tokio::test]
async fn a_data_source_reads_with_defaults_or_says_what_is_missing() {
    let (harness, shelf) = harness().await;
    shelf.put(BoxModel {
        size: 4.into(),
        ..named("first")
    });
    let config = FoundBox {
        name: Value::Null,
        size: Value::Null,
        room: Value::Null,
    };
    let found = harness
        .data::<BoxSource>(&config)
        .await
        .expect("it is there");
    assert_eq!((found.name, found.size), ("first".into(), 4.into()));
    let config = FoundBox {
        name: "second".into(),
        ..config
    };
    let missing = harness
        .data::<BoxSource>(&config)
        .await
        .expect_err("it is not there");
    assert!(
        missing
            .to_string()
            .starts_with("error at name: No such box"),
        "{missing}"
    );
}

#[tokio::test]
async fn an_ephemeral_value_is_given_back() {
    let (harness, shelf) = harness().await;
    let config = KeyModel {
        name: "a".into(),
        code: Value::Null,
    };
    let key = harness
        .ephemeral::<Key>(&config)
        .await
        .expect("there is a key");
    assert_eq!(key.code, "code of a".into());
    assert!(
        shelf.names().is_empty(),
        "close got the private data of open"
    );
}

#[tokio::test]
async fn a_function_runs_unconfigured_and_points_at_the_argument_at_fault() {
    let harness = Harness::new(Boxes {
        shelf: Shelf::default(),
    });
    let call = async |arguments: &[&str]| {
        let arguments: Vec<Dynamic> = arguments.iter().map(|&argument| argument.into()).collect();
        harness.call(&Join, &arguments).await
    };
    assert_eq!(call(&["-", "a", "b"]).await, Ok("a-b".into()));
    assert_eq!(call(&["-"]).await, Ok("".into()));
    let empty = FunctionError::new("A part is empty. Leave it out.").at_element("parts", 1);
    assert_eq!(call(&["-", "a", ""]).await, Err(empty));
    let few = call(&[]).await.expect_err("an argument is missing");
    assert_eq!(few.to_string(), "1 arguments are needed, 0 were given.");
    let crash = call(&["panic", "a"]).await.expect_err("it panics");
    assert!(crash.to_string().contains("no glue"), "{crash}");
}

#[tokio::test]
async fn the_provider_says_what_it_has_and_what_it_can() {
    let service = Service::new(Boxes {
        shelf: Shelf::default(),
    });
    let schemas =
        service.get_provider_schema(tonic::Request::new(wire::get_provider_schema::Request {}));
    let schemas = schemas.await.expect("it answers").into_inner();
    let metadata = service.get_metadata(tonic::Request::new(wire::get_metadata::Request {}));
    let metadata = metadata.await.expect("it answers").into_inner();
    let capabilities = schemas.server_capabilities.expect("they are there");
    assert!(capabilities.plan_destroy && capabilities.get_provider_schema_optional);
    assert!(capabilities.move_resource_state);
    assert_eq!(metadata.server_capabilities, Some(capabilities));
    assert_eq!(metadata.resources[0].type_name, "test_box");
    let block = schemas.resource_schemas["test_box"]
        .block
        .as_ref()
        .expect("a schema has a block");
    let size = block
        .attributes
        .iter()
        .find(|it| it.name == "size")
        .expect("it is there");
    assert_eq!(
        (size.description.as_str(), size.optional, size.computed),
        ("Default: `1`.", true, true)
    );
    assert!(schemas.ephemeral_resource_schemas.contains_key("test_key"));
    assert!(schemas.data_source_schemas.contains_key("test_box"));
    let functions = service.get_functions(tonic::Request::new(wire::get_functions::Request {}));
    assert_eq!(
        functions.await.expect("it answers").into_inner().functions,
        schemas.functions
    );

    let request = wire::read_resource::Request {
        type_name: "test_bag".to_owned(),
        ..Default::default()
    };
    let answer = service
        .read_resource(tonic::Request::new(request))
        .await
        .expect("never a gRPC error");
    assert!(
        answer.into_inner().diagnostics[0]
            .detail
            .contains("no resource type `test_bag`")
    );
    let identity = wire::get_resource_identity_schemas::Request {};
    let status = service
        .get_resource_identity_schemas(tonic::Request::new(identity))
        .await;
    assert_eq!(
        status.expect_err("it came after 6.8").code(),
        tonic::Code::Unimplemented
    );
}
