//! The gates of an endpoint: the files that its engine loads, of the model and of its draft model.

use std::sync::Arc;

use openmodel_cloud::HubError;
use openmodel_resolve::gates::{Asker, Gates};
use openmodel_resolve::loaded_files;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId};
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use openmodel_schemas::snapshot::Repository;
use openmodel_schemas::spec::Quantization;
use openmodel_transfer::select::Patterns;
use tfplug::Diagnostics;
use tfplug::framework::Context;
use tfplug::serve::log;
use tokio::time::Instant;

use super::frozen::Frozen;
use super::model::EndpointModel;
use crate::client::Client;
use crate::errors;
use crate::gates::{self, Asked};

/// What was judged before: the same files behind the same gates are not judged again.
pub(crate) fn is_judged(
    prior: &EndpointModel,
    before: &Frozen,
    planned: &EndpointModel,
    now: &Frozen,
) -> bool {
    prior.model == planned.model
        && prior.resolved_revision == planned.resolved_revision
        && prior.licenses == planned.licenses
        && prior.formats == planned.formats
        && prior.scan == planned.scan
        && prior.require_signature == planned.require_signature
        && prior.quantization == planned.quantization
        && before.serving.engine == now.serving.engine
        && trusts_code(before) == trusts_code(now)
        && before.draft_model == now.draft_model
}

/// Whether the engine runs code of the repository.
fn trusts_code(frozen: &Frozen) -> bool {
    let trusts = |word: &String| word.split('=').next() == Some("--trust-remote-code");
    frozen.serving.args.iter().any(trusts)
}

/// Judges while planning. Whether the apply has to wait for scanners.
pub(crate) async fn pass(
    context: &Context<Client>,
    planned: &EndpointModel,
    is_there: bool,
    served: &Served<'_>,
) -> Result<bool, Diagnostics> {
    let mut waiting = None;
    let gates = asked(planned).gates(&mut waiting);
    if let Some(input) = waiting {
        // Terraform plans again during the apply, when it is known.
        let text = format!("the gates are judged once {input} is known");
        log::info("endpoint", &text, &[]);
        return Ok(false);
    }
    let client = context.client()?;
    let mut waits = false;
    for part in served.parts() {
        let (card, files) = part.read(client).await?;
        let unread = |error| (part.unread)(client, &error);
        waits |= gates::pass(context, &gates, &card, &files, is_there, unread).await?;
    }
    Ok(waits)
}

/// Waits during the apply until the scanners have said what the gates ask for.
pub(crate) async fn wait(
    client: &Client,
    planned: &EndpointModel,
    served: &Served<'_>,
    deadline: Instant,
) -> Result<(), Diagnostics> {
    let gates: Gates = asked(planned).gates(&mut None);
    for part in served.parts() {
        let (card, files) = part.read(client).await?;
        let unread = |error| (part.unread)(client, &error);
        gates::wait(client, &gates, card, &files, unread, deadline).await?;
    }
    Ok(())
}

fn asked(planned: &EndpointModel) -> Asked<'_> {
    Asked {
        asker: Asker::Endpoint,
        licenses: &planned.licenses,
        formats: &planned.formats,
        scan: &planned.scan,
        signature: &planned.require_signature,
    }
}

/// What is served.
pub(crate) struct Served<'a> {
    pub(crate) model: &'a ModelId,
    pub(crate) commit: &'a CommitSha,
    pub(crate) quantization: Option<Quantization>,
    pub(crate) frozen: &'a Frozen,
}

/// A repository of which the engine loads files.
struct Part<'a> {
    model: &'a ModelId,
    commit: &'a CommitSha,
    engine: &'a str,
    quantization: Option<Quantization>,
    trusts_code: bool,
    unread: fn(&Client, &HubError) -> Diagnostics,
}

impl Served<'_> {
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let engine = self.frozen.serving.engine.as_str();
        let trusts_code = trusts_code(self.frozen);
        let draft = self.frozen.draft_model.as_ref().map(|draft| Part {
            model: &draft.model,
            commit: &draft.commit,
            engine,
            quantization: None,
            trusts_code,
            unread: errors::hub_of_draft,
        });
        let model = Part {
            model: self.model,
            commit: self.commit,
            engine,
            quantization: self.quantization,
            trusts_code,
            unread: errors::hub,
        };
        std::iter::once(model).chain(draft)
    }
}

impl Part<'_> {
    /// The repository, and the files of it that the engine loads.
    async fn read(
        &self,
        client: &Client,
    ) -> Result<(Arc<RepositoryCard>, Vec<RepoFile>), Diagnostics> {
        let unread = |error| (self.unread)(client, &error);
        let revision = self.commit.clone().into();
        let model = client.hub().card(self.model, &revision).await;
        let model = model.map_err(unread)?;
        let repository = Repository::model(self.model.clone());
        let card = client.hub().repository(&repository, &revision).await;
        let card = card.map_err(unread)?;
        let files = self.loaded(&card, &model);
        Ok((card, files))
    }

    /// The files that the engine loads; where that is not known, those that serve.
    fn loaded(&self, card: &RepositoryCard, model: &ModelCard) -> Vec<RepoFile> {
        let paths = loaded_files(model, self.engine, self.quantization);
        if paths.is_empty() {
            let serving = Patterns::default().select(card.repository.kind, &card.files);
            return serving.map_or_else(|_| card.files.clone(), |selection| selection.files);
        }
        let runs = |path: &str| self.trusts_code && path.to_ascii_lowercase().ends_with(".py");
        let is_loaded = |file: &&RepoFile| paths.contains(&file.path) || runs(&file.path);
        card.files.iter().filter(is_loaded).cloned().collect()
    }
}
