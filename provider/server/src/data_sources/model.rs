//! `data.openmodel_model`: the facts of a Hub repository at one commit.

mod show;

use std::collections::BTreeMap;

use openmodel_schemas::name::{ModelId, Revision};
use openmodel_schemas::repository::ScanStatus;
use openmodel_schemas::snapshot::Repository;
use serde::{Deserialize, Serialize};
use tfplug::framework::{Context, DataSource};
use tfplug::schema::{Attribute, Schema};
use tfplug::value::{Type, Value};
use tfplug::{Diagnostic, Diagnostics};

use crate::client::Client;
use crate::errors;
use crate::schema_parts::{checked, model_id};

/// `data "openmodel_model"`.
pub(crate) struct ModelDataSource;

/// Its attributes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ModelModel {
    pub(crate) id: Value<String>,
    pub(crate) model: Value<String>,
    pub(crate) revision: Value<String>,
    pub(crate) resolved_revision: Value<String>,
    pub(crate) architecture: Value<String>,
    pub(crate) model_type: Value<String>,
    pub(crate) library: Value<String>,
    pub(crate) pipeline_tag: Value<String>,
    pub(crate) parameters: Value<i64>,
    pub(crate) weight_bytes: Value<i64>,
    pub(crate) active_parameters: Value<i64>,
    pub(crate) parameters_by_dtype: Value<BTreeMap<String, Value<i64>>>,
    pub(crate) weight_bytes_by_dtype: Value<BTreeMap<String, Value<i64>>>,
    pub(crate) max_context_length: Value<i64>,
    pub(crate) dtype: Value<String>,
    pub(crate) quantization: Value<QuantizationModel>,
    pub(crate) kind: Value<String>,
    pub(crate) layers: Value<i64>,
    pub(crate) hidden_size: Value<i64>,
    pub(crate) intermediate_size: Value<i64>,
    pub(crate) vocabulary_size: Value<i64>,
    pub(crate) tied_embeddings: Value<bool>,
    pub(crate) attention: Value<AttentionModel>,
    pub(crate) experts: Value<ExpertsModel>,
    pub(crate) draft_layers: Value<i64>,
    pub(crate) vision: Value<bool>,
    pub(crate) audio: Value<bool>,
    pub(crate) kv_cache_bytes_per_token: Value<i64>,
    pub(crate) state_bytes_per_sequence: Value<i64>,
    pub(crate) facts: Value<String>,
    pub(crate) licence: Value<String>,
    pub(crate) gated: Value<String>,
    pub(crate) private: Value<bool>,
    pub(crate) scan_status: Value<String>,
    pub(crate) unsafe_files: Value<Vec<Value<String>>>,
    pub(crate) files: Value<Vec<Value<FileModel>>>,
}

/// `quantization`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct QuantizationModel {
    pub(crate) method: Value<String>,
    pub(crate) bits: Value<i64>,
    pub(crate) group_size: Value<i64>,
    pub(crate) kv_cache_bits: Value<i64>,
}

/// `attention`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AttentionModel {
    pub(crate) heads: Value<i64>,
    pub(crate) kv_heads: Value<i64>,
    pub(crate) head_dim: Value<i64>,
    pub(crate) window: Value<i64>,
    pub(crate) latent_rank: Value<i64>,
    pub(crate) full_layers: Value<i64>,
    pub(crate) windowed_layers: Value<i64>,
    pub(crate) recurrent_layers: Value<i64>,
    pub(crate) shared_layers: Value<i64>,
}

/// `experts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ExpertsModel {
    pub(crate) count: Value<i64>,
    pub(crate) per_token: Value<i64>,
    pub(crate) shared: Value<i64>,
    pub(crate) intermediate_size: Value<i64>,
    pub(crate) layers: Value<i64>,
}

/// One element of `files`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FileModel {
    pub(crate) path: Value<String>,
    pub(crate) size_bytes: Value<i64>,
    pub(crate) sha256: Value<String>,
}

impl DataSource for ModelDataSource {
    const TYPE: &'static str = "model";
    type Client = Client;
    type Model = ModelModel;

    fn schema(&self) -> Schema {
        let text = |name: &str, description: &str| {
            Attribute::string(name).computed().description(description)
        };
        let number = |name: &str, description: &str| {
            Attribute::number(name).computed().description(description)
        };
        Schema::new(
            "The facts of a Hugging Face Hub repository at one commit. What the Hub does not say is null.",
        )
        .attributes([
            text("id", "`{model}@{resolved_revision}`."),
            Attribute::string("model")
                .required()
                .validate(model_id())
                .description("Repository on the Hub, such as `Qwen/Qwen2.5-7B-Instruct`."),
            Attribute::string("revision")
                .default("main")
                .validate(checked::<Revision>("A branch, tag or commit."))
                .description("Branch, tag or commit."),
            text("resolved_revision", "The commit that the facts belong to."),
            text("architecture", "Class of the model, such as `LlamaForCausalLM`."),
            text("model_type", "Family, such as `llama`."),
            text("library", "Library, such as `transformers`."),
            text("pipeline_tag", "Task, such as `text-generation`."),
            number("parameters", "Number of parameters, by the headers of the weight files."),
            number("weight_bytes", "Bytes of the weight files that an engine loads; duplicates are not counted."),
            number(
                "active_parameters",
                "Parameters that work on one token; for a mixture of experts fewer than `parameters`.",
            ),
            Attribute::map_of("parameters_by_dtype", Type::Number)
                .computed()
                .description("Parameters by the data type that holds them, such as `BF16`."),
            Attribute::map_of("weight_bytes_by_dtype", Type::Number).computed().description(
                "Bytes of the weights in accelerator memory: `stored`, and where the checkpoint is not quantized \
                 already, as `bfloat16` and as `fp8`.",
            ),
            number("max_context_length", "Longest context the model was made for, in tokens."),
            text("dtype", "Data type of the weights by the configuration, such as `bfloat16`."),
            Attribute::object(
                "quantization",
                [
                    text("method", "Method, such as `fp8`, `awq`, `gptq` or `mxfp4`."),
                    number("bits", "Bits of a weight."),
                    number("group_size", "Weights that share a scale."),
                    number("kv_cache_bits", "Bits of an element of the KV cache, where the checkpoint says."),
                ],
            )
            .computed()
            .description("How the checkpoint is quantized; null where it is not."),
            text("kind", "`decoder`, `encoder`, `encoder_decoder` or `diffusion`."),
            number("layers", "Layers."),
            number("hidden_size", "Width of a layer."),
            number("intermediate_size", "Width of a dense feed-forward block."),
            number("vocabulary_size", "Entries of the vocabulary."),
            Attribute::bool("tied_embeddings")
                .computed()
                .description("Whether input and output embeddings are one matrix."),
            Attribute::object(
                "attention",
                [
                    number("heads", "Query heads."),
                    number("kv_heads", "Heads of keys and values."),
                    number("head_dim", "Width of a head."),
                    number("window", "Tokens that windowed layers see."),
                    number("latent_rank", "Rank of the compressed cache of latent attention (MLA)."),
                    number("full_layers", "Layers that keep every token."),
                    number("windowed_layers", "Layers that keep a window or a chunk."),
                    number("recurrent_layers", "Layers with a state of fixed size in place of a cache."),
                    number("shared_layers", "Layers that use the cache of another."),
                ],
            )
            .computed()
            .description("How layers look back; null where the repository has no configuration that is understood."),
            Attribute::object(
                "experts",
                [
                    number("count", "Experts of a layer."),
                    number("per_token", "Experts that work on one token."),
                    number("shared", "Experts that work on every token."),
                    number("intermediate_size", "Width of an expert."),
                    number("layers", "Layers with experts."),
                ],
            )
            .computed()
            .description("The mixture of experts; null where there is none."),
            number("draft_layers", "Layers that predict further tokens, for `workload.draft_tokens`."),
            Attribute::bool("vision").computed().description("Whether it takes images."),
            Attribute::bool("audio").computed().description("Whether it takes sound."),
            number(
                "kv_cache_bytes_per_token",
                "Bytes that one token keeps in the KV cache when every layer keeps it, on one device, in 16 bits \
                 unless the checkpoint says otherwise.",
            ),
            number("state_bytes_per_sequence", "Bytes of recurrent state of one sequence."),
            text(
                "facts",
                "All of this as JSON, for `openmodel_shapes` and `provider::openmodel::memory_estimate`.",
            ),
            text("licence", "Licence identifier, such as `apache-2.0`."),
            text("gated", "`none`, `auto` (terms to accept) or `manual` (access granted by hand)."),
            Attribute::bool("private").computed().description("Whether the repository is private."),
            text("scan_status", "`safe`, `unsafe`, `pending` or `unknown`, by the Hub's scanners."),
            Attribute::list_of("unsafe_files", Type::String)
                .computed()
                .description("Files that a scanner reported."),
            Attribute::list_of_objects(
                "files",
                [
                    text("path", "Path in the repository."),
                    number("size_bytes", "Size."),
                    text("sha256", "SHA-256, for files in large-file storage."),
                ],
            )
            .computed()
            .description("Every file of the snapshot."),
        ])
    }

    async fn read(
        &self,
        context: &Context<Client>,
        config: ModelModel,
    ) -> Result<ModelModel, Diagnostics> {
        let client = context.client()?;
        let model: ModelId = parse(&config.model, "model")?;
        let revision: Revision = parse(&config.revision, "revision")?;
        let card = client
            .hub()
            .card(&model, &revision)
            .await
            .map_err(|error| errors::hub(client, &error))?;
        let repository = Repository::model(model);
        let commit = card.commit.clone().into();
        // What the model is may be known from before; a Hub that does not answer now leaves the scans open.
        let scan = match client.hub().repository(&repository, &commit).await {
            Ok(facts) => facts.scan.clone(),
            Err(error) if error.is_passing() => ScanStatus::Unknown,
            Err(error) => return Err(errors::hub(client, &error)),
        };
        Ok(show::show(config, &card, &scan))
    }
}

/// A checked name of the configuration.
pub(crate) fn parse<T>(value: &Value<String>, path: &str) -> Result<T, Diagnostics>
where
    T: std::str::FromStr<Err = openmodel_schemas::name::NameError>,
{
    let text = value.as_known().map(String::as_str).unwrap_or_default();
    text.parse().map_err(|error| {
        Diagnostic::error("Invalid value")
            .at(path)
            .detail(format!("{error}."))
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<ModelModel>(&ModelDataSource.schema());
    }
}
