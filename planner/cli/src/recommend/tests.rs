//! The page where speeds are known: shown, and not made up where they are not.

use std::path::Path;

use clap::Parser;
use openmodel_resolve::market::Catalog;
use openmodel_resolve::ranking::rank;
use openmodel_schemas::report::{Performance, Range};

use super::arguments::Recommend;
use super::page::Answer;
use crate::models_file::ModelsFile;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    asked: Recommend,
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn speed() -> Performance {
    let range = |low, estimate, high| Range {
        low,
        estimate,
        high,
    };
    Performance {
        ttft_ms: range(212.0, 330.0, 481.0),
        tpot_ms: range(9.1, 11.0, 14.2),
        output_tokens_per_second: range(1127.0, 1455.0, 1758.0),
        requests_per_second: range(4.4, 5.7, 6.9),
        basis: "fitted".to_owned(),
    }
}

#[test]
fn speeds_stand_under_each_machine_and_in_full_with_the_chosen() {
    let asked = Line::parse_from([
        "recommend",
        "meta-llama/Llama-3.1-8B-Instruct",
        "--limit",
        "2",
    ])
    .asked;
    let models = ModelsFile::read(&fixture("models.json")).expect("it is readable");
    let id = asked.only().expect("it is one model");
    let card = models.find(id.as_str()).expect("it is there");
    let bytes = std::fs::read(fixture("catalog.json")).expect("it is readable");
    let catalog = Catalog::parse(&bytes).expect("it is sound");
    let question = asked.question(card, None);
    let mut ranking = rank(card, &question, &catalog, 2).expect("it is ranked");
    for shape in ranking.chosen.iter_mut().chain(&mut ranking.runners_up) {
        shape.performance = Some(speed());
        shape.replicas = 3;
    }
    let answer = Answer {
        asked: &asked,
        card,
        question: &question,
        catalog: &catalog,
        ranking: &ranking,
    };
    let page = anstream::adapter::strip_str(&answer.page(110)).to_string();
    let shown: Vec<&str> = page
        .lines()
        .filter(|line| line.contains("TPOT") || line.contains("replicas"))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}
