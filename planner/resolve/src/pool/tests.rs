//! Pools of small and large models: who shares, who sits alone, what it saves.

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::{ModelCard, ModelKind};
use openmodel_schemas::quantity::{Bytes, Parameters};
use openmodel_schemas::report::PoolReport;
use openmodel_schemas::spec::{Goals, Surface};
use rust_decimal::Decimal;

use super::{Place, PoolError, pool};
use crate::joint::JointError;
use crate::ranking::Question;
use crate::testing::{catalog, gemma_9b, llama_8b, llama_70b, load, qwen_7b, qwen3_30b_moe};

fn place() -> Place {
    Place {
        surface: Surface::Gke,
        region: "us-central1".parse().expect("a region"),
        option: PurchaseOption::OnDemand,
    }
}

/// A model of 1.5 billion parameters, and an embedding model.
fn small() -> ModelCard {
    let mut card = named(&qwen_7b(), "Qwen/Qwen2.5-1.5B-Instruct");
    let config = card.config.as_mut().expect("it has one");
    config.hidden_size = 1536;
    config.attention_heads = 12;
    config.kv_heads = 2;
    config.intermediate_size = 8960;
    config.tied_embeddings = true;
    sized(card, 1_543_714_304)
}

fn embedder() -> ModelCard {
    let mut card = named(&small(), "BAAI/bge-m3");
    let config = card.config.as_mut().expect("it has one");
    config.kind = ModelKind::Encoder;
    config.architecture = "XLMRobertaModel".to_owned();
    config.layers = 24;
    config.hidden_size = 1024;
    config.intermediate_size = 4096;
    sized(card, 567_754_752)
}

fn sized(mut card: ModelCard, parameters: u64) -> ModelCard {
    card.parameters = Some(Parameters(parameters));
    card.parameters_by_dtype = [("BF16".to_owned(), parameters)].into();
    if let Some(weights) = &mut card.weights {
        weights.bytes = Bytes(parameters * 2);
    }
    card
}

fn named(card: &ModelCard, name: &str) -> ModelCard {
    ModelCard {
        id: name.parse().expect("a name"),
        ..card.clone()
    }
}

fn ask(models: &[(&ModelCard, u32)], accelerators: &[&str]) -> Result<PoolReport, PoolError> {
    let mut question = Question::of(load(4096, 8));
    question.accelerators = accelerators.iter().map(ToString::to_string).collect();
    let asked: Vec<_> = models
        .iter()
        .map(|(card, replicas)| (*card, question.clone(), *replicas))
        .collect();
    pool(&asked, &place(), catalog())
}

fn asked(models: &[(&ModelCard, u32)]) -> PoolReport {
    sound(models, ask(models, &[]))
}

#[track_caller]
fn sound(models: &[(&ModelCard, u32)], report: Result<PoolReport, PoolError>) -> PoolReport {
    let report = report.expect("there is a pool");
    let replicas: u32 = models.iter().map(|(_, replicas)| replicas).sum();
    let seats = || report.machines.iter().flat_map(|machine| &machine.seats);
    assert_eq!(seats().count(), replicas as usize);
    let parts: Decimal = seats().map(|seat| seat.hourly.0).sum();
    assert_eq!(parts, report.hourly.0, "the parts are the whole");
    let models: Decimal = report.models.iter().map(|model| model.hourly.0).sum();
    assert_eq!(models, report.hourly.0);
    assert!(report.at_least <= report.hourly);
    assert!(
        report.hourly <= report.separate_hourly,
        "a pool costs no more"
    );
    report
}

/// Machines and seats in lines.
fn picture(report: &PoolReport) -> String {
    let mut lines = Vec::new();
    for machine in &report.machines {
        lines.push(format!(
            "{} x {} at {}",
            machine.count, machine.shape, machine.hourly
        ));
        for seat in &machine.seats {
            let takes = seat
                .share_percent
                .map_or_else(|| "alone".to_owned(), |percent| format!("{percent} %"));
            lines.push(format!(
                "  {} {:?} {takes} {} #{} by {} at {}",
                seat.instance,
                seat.accelerators,
                seat.model,
                seat.replica,
                seat.engine,
                seat.memory_utilization
            ));
        }
    }
    let (whole, separate) = (report.hourly, report.separate_hourly);
    let proven = if report.optimal {
        "proven"
    } else {
        "not proven"
    };
    lines.push(format!("{whole} of {separate}, {proven}"));
    lines.join("\n")
}

#[test]
fn two_small_models_share_one_l4() {
    let (chat, embed) = (small(), embedder());
    let models = [(&chat, 1), (&embed, 1)];
    insta::assert_snapshot!(picture(&sound(&models, ask(&models, &["l4"]))), @"
    1 x g2-standard-4 at $0.7068/h
      0 [0] 8 % BAAI/bge-m3 #0 by vllm at 0.07
      0 [0] 20 % Qwen/Qwen2.5-1.5B-Instruct #0 by vllm at 0.18
    $0.7068/h of $1.4137/h, proven
    ");
}

#[test]
fn a_large_model_is_alone_and_a_small_one_where_it_is_cheapest() {
    let (large, chat) = (llama_70b(), small());
    insta::assert_snapshot!(picture(&asked(&[(&large, 1), (&chat, 1)])), @"
    1 x g2-standard-96 at $8.0033/h
      0 [0, 1, 2, 3, 4, 5, 6, 7] alone meta-llama/Llama-3.3-70B-Instruct #0 by vllm at 0.92
    1 x n1-standard-4+nvidia-t4x1 at $0.5400/h
      0 [0] alone Qwen/Qwen2.5-1.5B-Instruct #0 by vllm at 0.92
    $8.5433/h of $8.5433/h, proven
    ");
}

#[test]
fn each_replica_has_a_seat() {
    let (chat, embed) = (small(), embedder());
    insta::assert_snapshot!(picture(&asked(&[(&chat, 3), (&embed, 2)])), @"
    1 x g2-standard-8 at $0.8536/h
      0 [0] 8 % BAAI/bge-m3 #0 by vllm at 0.07
      0 [0] 8 % BAAI/bge-m3 #1 by vllm at 0.07
      0 [0] 20 % Qwen/Qwen2.5-1.5B-Instruct #0 by vllm at 0.18
      0 [0] 20 % Qwen/Qwen2.5-1.5B-Instruct #1 by vllm at 0.18
      0 [0] 20 % Qwen/Qwen2.5-1.5B-Instruct #2 by vllm at 0.18
    $0.8536/h of $2.7000/h, proven
    ");
}

#[test]
fn a_model_that_nothing_holds_is_named_with_the_reasons() {
    let huge = sized(named(&llama_70b(), "acme/huge"), 2_000_000_000_000);
    let chat = small();
    let Err(PoolError::Joint(JointError::NothingHolds { tenant, reasons })) =
        ask(&[(&chat, 1), (&huge, 1)], &[])
    else {
        panic!("nothing holds it");
    };
    assert_eq!(tenant, "acme/huge");
    let first = reasons.first().expect("there are reasons");
    insta::assert_snapshot!(first, @"nvidia-t4 x4: needs 933.95 GiB on each device, the engine has 13.43 GiB of its 14.60 GiB");
}

#[test]
fn a_goal_of_speed_is_not_shared() {
    let chat = small();
    let mut question = Question::of(load(4096, 8));
    question.workload.goals = Goals {
        max_tpot_ms: Some(500),
        ..Goals::default()
    };
    let models = [(&chat, question, 2)];
    let report = pool(&models, &place(), catalog()).expect("there is a pool");
    let mut seats = report.machines.iter().flat_map(|machine| &machine.seats);
    assert!(seats.all(|seat| seat.share_percent.is_none()));
}

#[test]
fn the_order_of_the_models_changes_nothing() {
    let cards = [small(), embedder(), llama_8b(), gemma_9b(), qwen3_30b_moe()];
    let mut models: Vec<(&ModelCard, u32)> = cards.iter().zip([2, 1, 1, 1, 2]).collect();
    let first = asked(&models);
    for _ in 0..models.len() {
        models.rotate_left(1);
        assert_eq!(asked(&models), first);
    }
    models.reverse();
    assert_eq!(asked(&models), first);
}

#[test]
fn what_cannot_be_pooled_is_said() {
    let chat = small();
    let said = |surface, accelerator: Option<&str>, region: &str| {
        let mut question = Question::of(load(4096, 8));
        question.accelerators = accelerator.map(str::to_owned).into_iter().collect();
        let place = Place {
            surface,
            region: region.parse().expect("a region"),
            option: PurchaseOption::OnDemand,
        };
        let error = pool(&[(&chat, question, 1)], &place, catalog()).expect_err("it is refused");
        error.to_string()
    };
    let said = [
        said(Surface::CloudRun, None, "us-central1"),
        said(Surface::Gke, None, "us-nowhere1"),
        said(Surface::Gke, Some("gb300"), "us-central1"),
        ask(&[(&chat, 1), (&chat, 1)], &[])
            .expect_err("twice")
            .to_string(),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    cloud_run has no machines that models can share; compute and gke have
    nothing is sold on gke in us-nowhere1 on demand at a known price
    no machine holds Qwen/Qwen2.5-1.5B-Instruct: none of its accelerators (nvidia-gb300) is sold there at a known price
    Qwen/Qwen2.5-1.5B-Instruct is named twice
    ");
}
