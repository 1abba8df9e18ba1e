//! `data.openmodel_model`: the facts of a Hub repository at one commit.

use openmodel_schemas::model_card::{Gating, ModelCard, ScanStatus};
use openmodel_schemas::name::{ModelId, Revision};
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
    pub(crate) max_context_length: Value<i64>,
    pub(crate) licence: Value<String>,
    pub(crate) gated: Value<String>,
    pub(crate) private: Value<bool>,
    pub(crate) scan_status: Value<String>,
    pub(crate) unsafe_files: Value<Vec<Value<String>>>,
    pub(crate) files: Value<Vec<Value<FileModel>>>,
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
            number("max_context_length", "Longest context the model was made for, in tokens."),
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
        Ok(show(config, &card))
    }
}

fn parse<T>(value: &Value<String>, path: &str) -> Result<T, Diagnostics>
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

fn show(config: ModelModel, card: &ModelCard) -> ModelModel {
    let text =
        |text: Option<&str>| Value::from(text.filter(|text| !text.is_empty()).map(str::to_owned));
    let model_config = card.config.as_ref();
    let (scan_status, unsafe_files) = match &card.scan {
        ScanStatus::Safe => ("safe", &[][..]),
        ScanStatus::Unsafe { files } => ("unsafe", files.as_slice()),
        ScanStatus::Pending => ("pending", &[][..]),
        ScanStatus::Unknown => ("unknown", &[][..]),
    };
    ModelModel {
        id: Value::Known(format!("{}@{}", card.id, card.commit)),
        resolved_revision: Value::Known(card.commit.to_string()),
        architecture: text(model_config.map(|config| config.architecture.as_str())),
        model_type: text(model_config.map(|config| config.model_type.as_str())),
        library: text(card.library.as_deref()),
        pipeline_tag: text(card.pipeline_tag.as_deref()),
        parameters: number(card.parameters.map(|parameters| parameters.0)),
        weight_bytes: number(card.weights.as_ref().map(|weights| weights.bytes.0)),
        max_context_length: number(model_config.and_then(|config| config.max_positions)),
        licence: text(card.licence.as_deref()),
        gated: Value::from(match card.gating {
            Gating::None => "none",
            Gating::Auto => "auto",
            Gating::Manual => "manual",
        }),
        private: Value::Known(card.private),
        scan_status: Value::from(scan_status),
        unsafe_files: Value::Known(
            unsafe_files
                .iter()
                .map(|path| Value::from(path.as_str()))
                .collect(),
        ),
        files: Value::Known(
            card.files
                .iter()
                .map(|file| {
                    Value::Known(FileModel {
                        path: file.path.as_str().into(),
                        size_bytes: number(Some(file.size.0)),
                        sha256: file.sha256.clone().into(),
                    })
                })
                .collect(),
        ),
        ..config
    }
}

fn number(number: Option<u64>) -> Value<i64> {
    number.and_then(|number| i64::try_from(number).ok()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<ModelModel>(&ModelDataSource.schema());
    }
}
