//! The command line of a provider, and what it says to the person who runs it by hand.

use std::ffi::OsString;

use super::ServeOptions;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// No arguments: serve the Terraform that started us.
    Serve,
    /// Serve any Terraform that is told where we are.
    Debug,
    Version,
    Help,
    /// An argument that means nothing here.
    Unknown(String),
}

impl Command {
    /// One dash or two, as Go's flags take them. The first argument decides.
    pub(super) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Self {
        let Some(first) = arguments.next() else {
            return Self::Serve;
        };
        match first.to_string_lossy().as_ref() {
            "--debug" | "-debug" => Self::Debug,
            "--version" | "-version" | "-v" => Self::Version,
            "--help" | "-help" | "-h" => Self::Help,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// One line: name, version, protocol.
pub(super) fn version(options: &ServeOptions) -> String {
    format!(
        "terraform-provider-{} {} (plugin protocol 6)\n",
        options.name(),
        options.version
    )
}

/// What it is, how Terraform finds it, and the arguments.
pub(super) fn help(options: &ServeOptions) -> String {
    let name = options.name();
    let address = options.address;
    let source = address
        .strip_prefix("registry.terraform.io/")
        .unwrap_or(address);
    format!(
        r#"{version}
This is a provider for Terraform. Terraform starts it by itself, once a configuration asks for it:

  terraform {{
    required_providers {{
      {name} = {{ source = "{source}" }}
    }}
  }}

`terraform init` takes it from the registry, or from a filesystem mirror, where it lies as
  <mirror>/{address}/{number}/{platform}/terraform-provider-{name}
or, without init, from the folder that dev_overrides in the CLI configuration names.

  --debug     serve until Ctrl-C; prints the TF_REATTACH_PROVIDERS that attaches Terraform to it
  --version   print the version
  --help      print this
"#,
        version = version(options),
        number = options.version,
        platform = platform(),
    )
}

/// For the person who ran it without a Terraform around it.
pub(super) fn by_hand(options: &ServeOptions) -> String {
    format!(
        "This program is not meant to be run by hand: it waits for Terraform.\n\n{}",
        help(options)
    )
}

/// For an argument that means nothing.
pub(super) fn unknown(options: &ServeOptions, argument: &str) -> String {
    format!("unknown argument {argument:?}\n\n{}", help(options))
}

/// The platform as Terraform names it, for instance `linux_amd64`.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{system}_{machine}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ServeOptions = ServeOptions {
        address: "registry.terraform.io/acme/rocket",
        version: "1.2.3",
    };

    #[track_caller]
    fn check(arguments: &[&str], expect: &Command) {
        assert_eq!(
            &Command::parse(arguments.iter().map(OsString::from)),
            expect
        );
    }

    #[test]
    fn arguments() {
        check(&[], &Command::Serve);
        check(&["--debug"], &Command::Debug);
        check(&["-debug"], &Command::Debug);
        check(&["--version"], &Command::Version);
        check(&["-help"], &Command::Help);
        check(&["plan"], &Command::Unknown("plan".into()));
    }

    #[test]
    fn a_person_learns_what_this_is_and_where_it_belongs() {
        let text = by_hand(&OPTIONS);
        for expected in [
            "not meant to be run by hand",
            "terraform-provider-rocket 1.2.3",
            r#"rocket = { source = "acme/rocket" }"#,
            "<mirror>/registry.terraform.io/acme/rocket/1.2.3/",
            "--debug",
        ] {
            assert!(
                text.contains(expected),
                "{expected:?} is missing in:\n{text}"
            );
        }
    }

    #[test]
    fn another_registry_stays_in_the_source() {
        let options = ServeOptions {
            address: "terraform.example.com/acme/rocket",
            ..OPTIONS
        };
        assert!(help(&options).contains(r#"source = "terraform.example.com/acme/rocket""#));
    }
}
