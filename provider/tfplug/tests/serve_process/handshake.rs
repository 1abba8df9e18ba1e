//! Who is let in, and what everyone else is told.

use tokio::process::Command;

use crate::client::{COOKIE, Handshake, Identity, Process};
use crate::{read, started};

pub(crate) async fn by_hand() {
    let (status, out, err) = Process::itself(&[]).end().await;
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("not meant to be run by hand"), "{err}");
    assert!(err.contains("terraform-provider-probe 0.1.0"), "{err}");
}

pub(crate) async fn arguments() {
    for (argument, code, expected) in [
        (
            "--version",
            0,
            "terraform-provider-probe 0.1.0 (plugin protocol 6)\n",
        ),
        ("--help", 0, "TF_REATTACH_PROVIDERS"),
        ("plan", 1, "unknown argument \"plan\""),
    ] {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
        command.arg(argument);
        let (status, out, err) = Process::start(command, &[]).end().await;
        assert_eq!(status.code(), Some(code), "{argument}");
        assert!(
            if code == 0 { out } else { err }.contains(expected),
            "{argument}"
        );
    }
}

pub(crate) async fn wrong_protocol() {
    let (status, out, err) = Process::itself(&[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "4,5")])
        .end()
        .await;
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("protocol 6") && err.contains("4,5"), "{err}");
}

pub(crate) async fn mutual_tls() {
    let (process, handshake, channel) = started(&[]).await;
    assert_eq!(handshake.fields[..3], ["1", "6", "unix"]);
    assert_eq!(handshake.fields[4], "grpc");
    assert_eq!(
        handshake.fields.len(),
        6,
        "a seventh field only for hosts that ask for it"
    );
    let response = read(channel, "probe", b"state".to_vec())
        .await
        .expect("an answer");
    assert_eq!(
        response.new_state.expect("a state").msgpack,
        b"state".as_slice()
    );
    drop(process);

    let (_process, handshake, _) = started(&[("PLUGIN_MULTIPLEX_GRPC", "true")]).await;
    assert_eq!(handshake.fields[6], "false");
}

pub(crate) async fn strangers() {
    let terraform = Identity::new(7);
    let other = Identity::new(9);
    let mut process = Process::plugin(&terraform, &[]);
    let handshake = Handshake::parse(&process.line().await);
    let stolen = terraform.stolen(&other);
    for (who, identity) in [
        ("another certificate", Some(&other)),
        ("no key", Some(&stolen)),
        ("no certificate", None),
    ] {
        // In TLS 1.3 a client learns of the refusal when it first reads.
        let answer = match handshake.connect(identity).await {
            Ok(channel) => read(channel, "probe", Vec::new()).await.is_ok(),
            Err(_) => false,
        };
        assert!(!answer, "{who} was let in");
    }
    let channel = handshake
        .connect(Some(&terraform))
        .await
        .expect("Terraform is let in");
    read(channel, "probe", Vec::new())
        .await
        .expect("and is answered after all of them");
}

pub(crate) async fn plain() {
    let mut process = Process::itself(&[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "6")]);
    let handshake = Handshake::parse(&process.line().await);
    assert_eq!(handshake.fields[5], "");
    let channel = handshake.connect(None).await.expect("anyone of this user");
    read(channel, "probe", Vec::new()).await.expect("an answer");
}

pub(crate) async fn tcp() {
    let base = tempfile::tempdir().expect("a folder");
    let long = base.path().join("x".repeat(120));
    std::fs::create_dir(&long).expect("a long folder");
    let folder = long.to_str().expect("text");
    let (_process, handshake, channel) = started(&[
        ("PLUGIN_UNIX_SOCKET_DIR", folder),
        ("PLUGIN_MIN_PORT", "10000"),
        ("PLUGIN_MAX_PORT", "25000"),
    ])
    .await;
    assert_eq!(handshake.fields[2], "tcp");
    let port = handshake.fields[3]
        .strip_prefix("127.0.0.1:")
        .expect("loopback");
    assert!(
        (10000..=25000).contains(&port.parse::<u16>().expect("a port")),
        "{port}"
    );
    read(channel, "probe", Vec::new()).await.expect("an answer");
}
