//! The handshake and the life of a provider process, seen by a client as Terraform's and by Terraform.
//!
//! This binary plays both: started with [`client::ROLE`] in its environment it is the provider,
//! otherwise it runs the tests, each of which starts it again.

mod client;
mod handshake;
mod life;
mod probe;
mod terraform;

use std::process::ExitCode;

use client::tfplugin6::provider_client::ProviderClient;
use client::{Handshake, Identity, Process, ROLE};
use libtest_mimic::{Arguments, Trial};
use probe::Probe;
use tfplug::log;
use tfplug::serve::{ServeOptions, serve_blocking};
use tfplug::wire::{DynamicValue, read_resource};
use tonic::transport::Channel;
use tonic::{Response, Status};

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        log::conceal("hf_secret");
        serve_blocking(
            Probe,
            ServeOptions {
                address: "registry.terraform.io/openmodel/probe",
                version: "0.1.0",
            },
        );
    }
    let tests = vec![
        trial("by_hand_it_explains_itself", handshake::by_hand),
        trial("arguments_are_answered", handshake::arguments),
        trial(
            "a_host_without_protocol_6_is_refused",
            handshake::wrong_protocol,
        ),
        trial("terraforms_certificate_is_let_in", handshake::mutual_tls),
        trial("nobody_else_is_let_in", handshake::strangers),
        trial("without_a_certificate_there_is_no_tls", handshake::plain),
        trial("a_long_path_falls_back_to_tcp", handshake::tcp),
        trial("companions_answer", life::companions),
        trial("shutdown_ends_the_process", life::shutdown),
        trial("sigint_is_ignored_and_sigterm_heeded", life::signals),
        trial("a_dead_parent_ends_it", life::orphan),
        trial("seventy_mebibytes_pass_both_ways", life::large_message),
        trial("a_panic_is_reported_and_survived", life::panics),
        trial("logs_are_lines_that_terraform_parses", life::logs),
        trial("debug_mode_serves_many_clients", life::debug_mode),
        trial(
            "terraform_starts_it_and_reads_its_logs",
            terraform::real_terraform,
        ),
        trial(
            "terraform_shows_a_panic_as_a_crash",
            terraform::real_terraform_and_a_panic,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// A test that is a future.
fn trial<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// A provider as Terraform starts it, connected.
pub(crate) async fn started(more: &[(&str, &str)]) -> (Process, Handshake, Channel) {
    let identity = Identity::new(7);
    let mut process = Process::plugin(&identity, more);
    let handshake = Handshake::parse(&process.line().await);
    let channel = handshake
        .connect(Some(&identity))
        .await
        .expect("Terraform is let in");
    (process, handshake, channel)
}

pub(crate) async fn read(
    channel: Channel,
    kind: &str,
    state: Vec<u8>,
) -> Result<read_resource::Response, Status> {
    let request = read_resource::Request {
        type_name: kind.to_owned(),
        current_state: Some(DynamicValue {
            msgpack: state.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut client = ProviderClient::new(channel).max_decoding_message_size(usize::MAX);
    client
        .read_resource(request)
        .await
        .map(Response::into_inner)
}
