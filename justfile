# One-liners; each works typed by hand.

# The README's test command.
test:
    cargo test --workspace

# Format and lints, as CI runs them.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Only the tests with the real terraform.
acceptance:
    cargo test -p acceptance

# Accept what generated files and snapshots say now.
bless:
    OPENMODEL_BLESS=1 TFPLUG_BLESS=1 INSTA_UPDATE=always cargo test --workspace

# Licences, sources and banned crates.
deny:
    tests/ci/deny check bans licenses sources

# The API documentation.
docs:
    cargo doc --workspace --no-deps

# Ratios against terraform_data in the same run; start-up, schema, memory, binary size.
bench *args:
    cargo run --release --bin bench -- {{args}}
    cargo bench -p tfplug --bench process -- "$PWD/target/release/terraform-provider-openmodel"

# The binaries for a release.
release:
    cargo build --release --bin terraform-provider-openmodel --bin openmodel
