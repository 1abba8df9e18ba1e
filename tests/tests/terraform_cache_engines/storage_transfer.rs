//! Storage Transfer Service: it fetches, openmodel verifies; wrong bytes, a file that it cannot read, an apply
//! whose time is up.

use acceptance::terraform::planned;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::{ADDRESS, BUCKET, FILES, REPOSITORY, World};

const TRANSFER: &str = "transfer = { engine = \"storage_transfer\" }";

/// How often a transfer was made and run.
fn started(world: &World) -> (usize, usize) {
    let calls = |verb: &str| world.calls(&format!("storagetransfer.transferJobs.{verb}"));
    (calls("create"), calls("run"))
}

/// The objects of the bucket, by their names in the snapshot's folder.
fn objects(world: &World) -> Result<Vec<String>> {
    let listed = world
        .http
        .get(&world.url(&format!("/storage/v1/b/{BUCKET}/o")))?;
    let items = listed["items"].as_array().context("objects")?;
    let names = items.iter().filter_map(|object| object["name"].as_str());
    let inside = |name: &str| name.splitn(5, '/').nth(4).map(str::to_owned);
    Ok(names.filter_map(inside).collect())
}

/// Somebody deletes a file of the snapshot in a bucket.
fn lose(world: &World, bucket: &str, file: &str) -> Result<()> {
    let objects = world.url(&format!("/storage/v1/b/{bucket}/o"));
    let listed = world.http.get(&objects)?;
    let names = listed["items"].as_array().context("objects")?.iter();
    let mut names = names.filter_map(|object| object["name"].as_str());
    let name = names.find(|name| name.ends_with(&format!("/{file}")));
    let name = name.context("the file")?.replace('/', "%2F");
    world.http.remove(&format!("{objects}/{name}")).map(drop)
}

fn nothing_left(world: &World) {
    let inventory = world.inventory();
    for part in ["transferJobs", BUCKET] {
        assert!(!inventory.contains(part), "{part} is left: {inventory}");
    }
}

#[test]
fn it_fetches_what_is_large_and_each_file_is_verified_and_moved_to_its_name() -> Result<()> {
    let world = World::new(TRANSFER, false)?;
    let plan = world.bench.plan()?;
    let transfer = &planned(&plan, ADDRESS)["transfer"];
    insta::assert_json_snapshot!([&transfer["engine"], &transfer["reason"], &transfer["tasks"]], @r#"
    [
      "storage_transfer",
      "asked for; this process reads the 9.0 MiB back once, for their SHA-256",
      null
    ]
    "#);
    world.bench.terraform(&["apply", "tfplan"])?;
    assert_eq!(started(&world), (1, 1));
    assert_eq!(
        world.reads(),
        usize::try_from(FILES)?,
        "each file is read from the Hub once"
    );
    let mut expected: Vec<String> = (0..FILES)
        .map(|number| format!("part-{number}.safetensors"))
        .collect();
    expected.splice(
        0..0,
        [".openmodel/cache.json", ".openmodel/manifest.json"].map(str::to_owned),
    );
    assert_eq!(objects(&world)?, expected, "and nothing else");
    assert!(
        !world.inventory().contains("transferJobs"),
        "the job is left"
    );
    world.bench.assert_plan_is_empty()?;
    world.keeps_its_secrets()?;
    world.keeps_the_contract()?;

    lose(&world, BUCKET, "part-1.safetensors")?;
    world.bench.apply()?;
    assert_eq!(
        started(&world),
        (2, 2),
        "a job of its own, under a new name"
    );
    assert_eq!(
        world.reads(),
        usize::try_from(FILES)? + 1,
        "the missing file alone is fetched again"
    );
    world.bench.assert_plan_is_empty()?;

    // Another revision shares all but one file: that one alone is fetched.
    let files: serde_json::Map<String, Value> = (0..FILES)
        .map(|number| {
            let size = if number < 3 { 3 << 20 } else { 1_000 + number };
            let seed = if number == 2 { 77 } else { number };
            let blob = json!({"computed": {"size": size, "seed": seed}});
            (format!("part-{number}.safetensors"), blob)
        })
        .collect();
    world.put(
        &format!("/sandbox/hub/models/{REPOSITORY}"),
        &json!({"card": {}, "files": files}),
    )?;
    world.set(&format!("{TRANSFER}\n  tracking = \"follow\"\n"))?;
    world.bench.apply()?;
    assert_eq!(started(&world), (3, 3));
    assert_eq!(world.reads(), usize::try_from(FILES)? + 2);
    world.bench.assert_plan_is_empty()?;

    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);
    Ok(())
}

#[test]
fn what_it_cannot_do_is_said_and_nothing_is_left() -> Result<()> {
    let limited = "transfer = { engine = \"storage_transfer\", max_bandwidth_mib = 10 }";
    let world = World::new(limited, true)?;
    let said = world.bench.terraform_fails(&["validate"])?;
    for part in ["has no limit", "max_bandwidth_mib"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    // Nothing that is set is passed over in silence.
    for (transfer, unused) in [
        (
            "engine = \"storage_transfer\", image = \"i\"",
            vec!["image"],
        ),
        ("engine = \"local\", tasks = 2", vec!["tasks"]),
        (
            "service_account = \"a@b\", hugging_face_token_secret = \"projects/p/secrets/s/versions/1\"",
            vec!["service_account", "hugging_face_token_secret"],
        ),
    ] {
        world.set(&format!("transfer = {{ {transfer} }}"))?;
        let said = world.bench.terraform_fails(&["validate"])?;
        assert_eq!(said.matches("none runs").count(), unused.len(), "{said}");
        for name in unused {
            let part = format!("leave {name} out");
            assert!(
                said.replace('\n', " ").contains(&part),
                "{part:?} is not in: {said}"
            );
        }
    }
    world.set("transfer = { image = \"i\", tasks = 2 }")?;
    world.bench.terraform(&["validate"])?;
    world.set(TRANSFER)?;
    let said = world.bench.terraform_fails(&["plan"])?;
    for part in [
        "cannot read the repository",
        "reads without a token",
        "engine",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    let world = World::new(TRANSFER, false)?;
    let missing = json!({
        "match": {"pathRegex": "/resolve/.*/part-0[.]"}, "times": 1, "then": {"respond": {"status": 404}},
    });
    world.http.post(&world.url("/sandbox/faults"), &missing)?;
    let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [
        "did not fetch all files",
        "/part-0.safetensors",
        "NOT_FOUND",
        "nothing is left",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    nothing_left(&world);

    // A wrong byte never gets a readable name: that file is read from the Hub.
    let flipped = json!({
        "match": {"path": "/_cdn/*part-1*"}, "times": 1, "then": {"flipByte": 12_345},
    });
    world.http.post(&world.url("/sandbox/faults"), &flipped)?;
    let before = world.reads();
    world.bench.apply()?;
    assert_eq!(world.reads(), before + usize::try_from(FILES)? + 1);
    world.bench.assert_plan_is_empty()
}

#[test]
fn a_hub_that_limits_is_asked_again_and_what_lies_nowhere_any_more_is_fetched() -> Result<()> {
    let world = World::new(
        &format!("{TRANSFER}\n  regions = [\"europe-west4\"]"),
        false,
    )?;
    // More than the service tries a file itself.
    let limited = json!({
        "match": {"pathRegex": "/resolve/.*/part-0[.]"}, "times": 3, "then": {"respond": {"status": 429}},
    });
    world.http.post(&world.url("/sandbox/faults"), &limited)?;
    world.bench.apply()?;
    assert_eq!(started(&world), (2, 2), "the second fetched what was left");
    world.bench.assert_plan_is_empty()?;

    // Each place has the file in its manifest, and neither has the file.
    for bucket in [BUCKET, "openmodel-acme-ml-europe-west4"] {
        lose(&world, bucket, "part-1.safetensors")?;
    }
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);
    Ok(())
}

#[test]
fn an_apply_whose_time_is_up_is_gone_on_with_or_taken_back() -> Result<()> {
    let short = format!("{TRANSFER}\n  timeouts = {{ create = \"4s\" }}");
    let world = World::new(&short, false)?;
    let hold = || {
        let held = json!({
            "match": {"pathRegex": "/resolve/.*/part-0[.]"}, "times": 1, "then": {"delayMillis": 12_000},
        });
        world.http.post(&world.url("/sandbox/faults"), &held)
    };
    hold()?;
    let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(said.contains("not created completely"), "{said}");
    assert!(
        world.inventory().contains("transferJobs"),
        "the job is not there"
    );

    world.set(TRANSFER)?;
    world.bench.terraform(&["untaint", ADDRESS])?;
    world.bench.apply()?;
    assert_eq!(started(&world), (1, 1), "the same transfer was awaited");
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);

    // Cut again, and another engine goes on: it ends what runs, and takes what has arrived no account of.
    world.set(&short)?;
    hold()?;
    world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(world.inventory().contains("transferJobs"));
    world.set("transfer = { engine = \"local\" }")?;
    world.bench.terraform(&["untaint", ADDRESS])?;
    world.bench.apply()?;
    assert!(
        !world.inventory().contains("transferJobs"),
        "the job is left"
    );
    assert!(
        !objects(&world)?.iter().any(|name| name.contains("arriv")),
        "what arrived is left"
    );
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);

    // Cut again, and not gone on with: what runs is ended, and all of it goes.
    world.set(&short)?;
    hold()?;
    world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(world.inventory().contains("transferJobs"));
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);
    Ok(())
}

#[test]
fn what_a_cut_update_has_moved_goes_with_the_cache() -> Result<()> {
    let follow = |more: &str| format!("{TRANSFER}\n  tracking = \"follow\"\n  {more}");
    let world = World::new(&follow(""), false)?;
    world.bench.apply()?;
    let files: serde_json::Map<String, Value> = (0..3)
        .map(|number| {
            let blob = json!({"computed": {"size": 3 << 20, "seed": 100 + number}});
            (format!("part-{number}.safetensors"), blob)
        })
        .collect();
    world.put(
        &format!("/sandbox/hub/models/{REPOSITORY}"),
        &json!({"card": {}, "files": files}),
    )?;
    let held = json!({
        "match": {"pathRegex": "/resolve/.*/part-0[.]"}, "times": 1, "then": {"delayMillis": 12_000},
    });
    world.http.post(&world.url("/sandbox/faults"), &held)?;
    world.set(&follow("timeouts = { update = \"4s\" }"))?;
    world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(world.inventory().contains("transferJobs"));

    // The state has the snapshot of before, and remembers what was begun.
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    nothing_left(&world);
    Ok(())
}
