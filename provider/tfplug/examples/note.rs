//! A whole provider: notes kept as files, and a function. README.md shows how to run it.

use serde::{Deserialize, Serialize};
use std::fs;
use tfplug::prelude::*;
use tfplug::serve::{ServeOptions, serve_blocking};

type Ctx = Context<()>;
struct Example;
impl Provider for Example {
    const NAME: &'static str = "example";
    type Model = NoSettings;
    type Client = ();
    fn schema(&self) -> Schema {
        Schema::new("Notes as files.")
    }
    fn parts(&self) -> Parts<()> {
        Parts::new().resource(Notes).function(Shout)
    }
    async fn configure(&self, _: &Ctx, _: ConfigureRequest<NoSettings>) -> Configured<()> {
        Ok(())
    }
}

struct Notes;
#[derive(Clone, Serialize, Deserialize)]
struct Note {
    id: Value<String>,
    path: Value<String>,
    text: Value<String>,
}
impl Resource for Notes {
    const TYPE: &'static str = "note";
    type Client = ();
    type Model = Note;
    fn schema(&self) -> Schema {
        let id = Attribute::string("id").computed_prefix("note:");
        let path = Attribute::string("path").required().requires_replace();
        let text = Attribute::string("text").default("Nothing yet.");
        Schema::new("A note in a file.").attributes([id.use_state_for_unknown(), path, text])
    }
    async fn create(&self, _: &Ctx, request: CreateRequest<Note>) -> Applied<Note> {
        write(request.planned)
    }
    async fn read(&self, _: &Ctx, request: ReadRequest<Note>) -> Found<Note> {
        if !fs::exists(path(&request.state)).map_err(|e| failed(&e))? {
            return Ok(None);
        }
        let text = fs::read_to_string(path(&request.state)).map_err(|e| failed(&e))?;
        Ok(Some(note(request.state.path, text.into()).into()))
    }
    async fn update(&self, _: &Ctx, request: UpdateRequest<Note>) -> Applied<Note> {
        write(request.planned)
    }
    async fn delete(&self, _: &Ctx, request: DeleteRequest<Note>) -> Deleted<Note> {
        Ok(fs::remove_file(path(&request.state)).map_err(|e| failed(&e))?)
    }
    async fn import(&self, _: &Ctx, id: String) -> Imported<Note> {
        Ok(note(id.into(), Value::Null).into())
    }
}
fn note(path: Value<String>, text: Value<String>) -> Note {
    let id = path.clone().map(|path| format!("note:{path}"));
    Note { id, path, text }
}
fn path(note: &Note) -> &str {
    note.path.as_known().map_or("", String::as_str)
}
fn write(new: Note) -> Applied<Note> {
    fs::write(path(&new), new.text.as_known().map_or("", String::as_str))
        .map_err(|e| failed(&e))?;
    Ok(note(new.path, new.text).into())
}
fn failed(error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("No such file").detail(format!("{error}. Check the path."))
}

struct Shout;
#[derive(Deserialize)]
struct Words {
    text: String,
}
impl Function for Shout {
    const NAME: &'static str = "shout";
    type Arguments = Words;
    type Output = String;
    fn signature(&self) -> Signature {
        let text = Parameter::new("text", Type::String);
        Signature::new("Text in capitals.", Type::String).parameter(text)
    }
    fn call(&self, words: Words) -> Result<String, FunctionError> {
        Ok(words.text.to_uppercase())
    }
}

fn main() {
    let (address, version) = ("registry.terraform.io/tfplug/example", "0.1.0");
    serve_blocking(Service::new(Example), ServeOptions { address, version })
}
