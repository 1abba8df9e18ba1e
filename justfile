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

# Ratios against terraform_data in the same run; start-up, schema, memory, binary size; time and
# memory of a recommendation, beside SkyPilot's optimizer on the same prices; a transfer of 8 GiB, beside a
# bare copy loop, rclone and the usual way.
bench *args:
    cargo run --release --bin bench -- {{args}}
    cargo bench -p tfplug --bench process -- "$PWD/target/release/terraform-provider-openmodel"
    cargo build -p openmodel-cli
    python3 -m venv target/peers/skypilot
    target/peers/skypilot/bin/pip install --quiet -r tests/bench/requirements.txt
    cargo bench -p openmodel-resolve --bench choose | target/peers/skypilot/bin/python tests/bench/skypilot.py target/debug/openmodel
    just bench-transfer

# The transfer alone: `just bench-transfer --gib 1` for a quick look.
bench-transfer *args:
    cargo build --release --bin openmodel
    python3 -m venv target/peers/transfer
    target/peers/transfer/bin/pip install --quiet -r tests/bench/transfer.txt
    cargo run --release --bin transfer -- {{args}}

# The binaries for a release.
release:
    cargo build --release --bin terraform-provider-openmodel --bin openmodel

# Our errors beside those of AIConfigurator and of KAITO's rule: writes and prints docs/accuracy.md.
accuracy:
    cargo build -p openmodel-cli
    python3 -m venv target/peers/venv
    target/peers/venv/bin/pip install --quiet -r tests/accuracy/requirements.txt
    target/peers/venv/bin/python tests/accuracy/peers.py target/debug/openmodel > target/peers/accuracy.md
    cp target/peers/accuracy.md docs/accuracy.md
    cat docs/accuracy.md
