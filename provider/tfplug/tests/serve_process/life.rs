//! From the first call to the end of the process, whoever asks for it.

use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tfplug::wire::health::HealthCheckRequest;
use tfplug::wire::plugin::Empty;
use tfplug::wire::{configure_provider, get_states, stop_provider};
use tokio::process::Command;
use tonic::Code;

use crate::client::health::health_client::HealthClient;
use crate::client::plugin::grpc_broker_client::GrpcBrokerClient;
use crate::client::plugin::grpc_controller_client::GrpcControllerClient;
use crate::client::plugin::grpc_stdio_client::GrpcStdioClient;
use crate::client::tfplugin6::provider_client::ProviderClient;
use crate::client::{COOKIE, Handshake, PATIENCE, Process};
use crate::{read, started};

pub(crate) async fn companions() {
    let (_process, _, channel) = started(&[]).await;

    let mut health = HealthClient::new(channel.clone());
    for service in ["plugin", ""] {
        let check = health.check(HealthCheckRequest {
            service: service.to_owned(),
        });
        assert_eq!(
            check.await.expect("an answer").into_inner().status,
            1,
            "{service:?} serves"
        );
    }
    let unknown = health
        .check(HealthCheckRequest {
            service: "other".to_owned(),
        })
        .await;
    assert_eq!(
        unknown.expect_err("there is no such service").code(),
        Code::NotFound
    );

    // Terraform opens both at once and holds them; they end, in order, when the provider does.
    let stdio = GrpcStdioClient::new(channel.clone())
        .stream_stdio(())
        .await
        .expect("it opens");
    let mut broker = GrpcBrokerClient::new(channel.clone());
    let broker = broker
        .start_stream(futures::stream::pending())
        .await
        .expect("it opens");
    let watch = health
        .watch(HealthCheckRequest::default())
        .await
        .expect("it opens");

    let mut provider = ProviderClient::new(channel.clone());
    let told = provider
        .stop_provider(stop_provider::Request {})
        .await
        .expect("an answer");
    assert_eq!(told.into_inner().error, "the probe was told");
    let missing = provider.get_states(get_states::Request::default()).await;
    assert_eq!(
        missing.expect_err("the probe has none").code(),
        Code::Unimplemented
    );

    GrpcControllerClient::new(channel)
        .shutdown(Empty {})
        .await
        .expect("an answer");
    let silent = async {
        let (stdio, broker) = (stdio.into_inner(), broker.into_inner());
        let (stdio, broker) = (
            stdio.collect::<Vec<_>>().await,
            broker.collect::<Vec<_>>().await,
        );
        assert!(
            stdio.is_empty() && broker.is_empty(),
            "{stdio:?} {broker:?}"
        );
        assert_eq!(watch.into_inner().collect::<Vec<_>>().await.len(), 1);
    };
    tokio::time::timeout(PATIENCE, silent)
        .await
        .expect("the streams end");
}

pub(crate) async fn shutdown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("text");
    let (mut process, handshake, channel) = started(&[("PLUGIN_UNIX_SOCKET_DIR", path)]).await;
    assert!(handshake.socket().starts_with(folder.path()));
    GrpcControllerClient::new(channel)
        .shutdown(Empty {})
        .await
        .expect("an answer before the end");
    let (status, out, err) = process.end().await;
    assert_eq!(
        (status.code(), out.as_str(), err.as_str()),
        (Some(0), "", "")
    );
    let left = std::fs::read_dir(folder.path())
        .expect("the folder")
        .count();
    assert_eq!(left, 0, "the socket is gone, and its folder");
}

pub(crate) async fn signals() {
    let (mut process, handshake, channel) = started(&[]).await;
    let id = process
        .child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let id = id.expect("it runs");
    kill_process(id, Signal::INT).expect("it runs");
    read(channel, "probe", Vec::new())
        .await
        .expect("Ctrl-C is for Terraform to act on");
    kill_process(id, Signal::TERM).expect("it still runs");
    assert_eq!(process.end().await.0.code(), Some(0));
    assert!(!handshake.socket().exists());
}

pub(crate) async fn orphan() {
    // A shell between us and the provider is its parent, and dies of SIGKILL as Terraform might.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "\"$0\" & wait"])
        .arg(std::env::current_exe().expect("the path of this test"));
    let mut process = Process::start(command, &[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "6")]);
    let handshake = Handshake::parse(&process.line().await);
    assert!(handshake.socket().exists());
    process.child.kill().await.expect("the shell runs");
    // Standard error ends when the last process that holds it does: the provider.
    process.end().await;
    assert!(!handshake.socket().exists());
}

pub(crate) async fn large_message() {
    let (_process, _, channel) = started(&[]).await;
    let state = vec![b'x'; 70 << 20];
    let response = read(channel, "probe", state).await.expect("an answer");
    assert_eq!(response.new_state.expect("a state").msgpack.len(), 70 << 20);
}

pub(crate) async fn panics() {
    let (mut process, _, channel) = started(&[]).await;
    let failed = read(channel.clone(), "probe_panic", Vec::new()).await;
    failed.expect_err("the call is lost; the framework is what answers it");
    read(channel.clone(), "probe", Vec::new())
        .await
        .expect("the process lives on");
    GrpcControllerClient::new(channel)
        .shutdown(Empty {})
        .await
        .expect("an answer");
    let (status, _, err) = process.end().await;
    assert_eq!(status.code(), Some(0));
    let first = err.lines().next().expect("a report");
    assert!(
        first.starts_with("panic: ") && first.contains("asked to panic"),
        "{err}"
    );
    assert!(
        err.contains("probe.rs:") && !err.contains("hf_secret"),
        "{err}"
    );
}

pub(crate) async fn logs() {
    for (variables, expected) in [
        (vec![], vec![]),
        (vec![("TF_LOG", "debug")], vec!["debug"]),
        (
            vec![("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "debug")],
            vec!["debug"],
        ),
        (vec![("TF_LOG_PROVIDER", "JSON")], vec!["debug", "trace"]),
        (
            vec![("TF_LOG", "trace"), ("TF_LOG_PROVIDER_PROBE", "error")],
            vec![],
        ),
    ] {
        let (mut process, _, channel) = started(&variables).await;
        let configure = configure_provider::Request::default();
        ProviderClient::new(channel.clone())
            .configure_provider(configure)
            .await
            .expect("an answer");
        GrpcControllerClient::new(channel)
            .shutdown(Empty {})
            .await
            .expect("an answer");
        let (_, _, err) = process.end().await;
        let lines: Vec<serde_json::Value> = err
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        let levels: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["@level"].as_str())
            .collect();
        assert_eq!(levels, expected, "{variables:?}");
        if let Some(line) = lines.first() {
            assert_eq!(line["@message"], "configured with (hidden)");
            assert_eq!(
                (&line["@module"], &line["attempt"]),
                (&"probe".into(), &"1".into())
            );
        }
    }
}

pub(crate) async fn debug_mode() {
    let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
    command.arg("--debug");
    let mut process = Process::start(command, &[]);
    let line = loop {
        let line = process.line().await;
        if let Some(value) = line.strip_prefix("TF_REATTACH_PROVIDERS='") {
            break value.trim_end().trim_end_matches('\'').to_owned();
        }
    };
    let reattach: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
    let ours = &reattach["registry.terraform.io/openmodel/probe"];
    assert_eq!(
        (&ours["Protocol"], &ours["ProtocolVersion"]),
        (&"grpc".into(), &6.into())
    );
    assert_eq!(
        (&ours["Test"], ours["Pid"].as_u64()),
        (&true.into(), process.child.id().map(u64::from))
    );
    let address = |key: &str| ours["Addr"][key].as_str().expect("text").to_owned();
    let handshake = Handshake {
        fields: ["1", "6", &address("Network"), &address("String"), "grpc"]
            .map(str::to_owned)
            .into(),
    };

    for _command in 0..3 {
        let channel = handshake
            .connect(None)
            .await
            .expect("it is open to this user");
        read(channel.clone(), "probe", Vec::new())
            .await
            .expect("an answer");
        GrpcControllerClient::new(channel)
            .shutdown(Empty {})
            .await
            .expect("an answer, and no end");
    }
    let id = process
        .child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    kill_process(id.expect("it runs"), Signal::INT).expect("it runs");
    assert_eq!(process.end().await.0.code(), Some(0));
    assert!(!handshake.socket().exists());
}
