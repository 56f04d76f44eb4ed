# Names for what exists; `just --list` shows them. Every recipe is one command or script that also runs without just.

# The whole system on a simulated exchange, served on 127.0.0.1:8080
demo *arguments:
    cargo run -- demo {{arguments}}

# All tests, as in README.md
test *arguments:
    cargo test --workspace --locked {{arguments}}

# Everything that CI runs
check:
    scripts/check.sh

# Compiles and lints everything, tests included, and runs nothing
quick:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The documentation of every crate, private items included
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

# The fault campaign; 50 runs and more rewrite docs/faults.md: just faults 500 7000
faults *arguments:
    scripts/faults.sh {{arguments}}

# Speed of parsing, spooling and writing
bench events='1000000':
    cargo bench -p ingestor -- {{events}}

# Bytes from elsewhere for whatever reads them, a minute a target: just fuzz block 3600
fuzz *arguments:
    scripts/fuzz.sh {{arguments}}

# Instructions of what every event and every page pays for, against the baseline
instructions *arguments:
    scripts/instructions.sh {{arguments}}
