//! What is sent twice, what is not, how long is waited, and where credentials go.

use serde_json::{Value, json};

use super::script::{self, Answer, with_headers};
use super::*;

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn read() -> Request {
    Request::get(Api::Run, "/v2/x")
}

fn write() -> Request {
    Request::post(Api::Run, "/v2/x", json!({}))
}

fn ok() -> Answer {
    script::json(200, json!({"fine": true}))
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_after_a_server_error_or_a_lost_answer() {
    let (transport, seen) =
        script::transport(vec![script::json(503, json!({})), Answer::Lost(true), ok()]);
    let answer: Value = transport
        .json(&read(), in_a_minute())
        .await
        .expect("an answer");
    assert_eq!(answer["fine"], true);
    assert_eq!(seen.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_lost_answer_is_not_repeated_and_its_effect_is_unknown() {
    for answer in [Answer::Lost(true), script::json(503, json!({}))] {
        let (transport, seen) = script::transport(vec![answer]);
        let error = transport
            .send(&write(), in_a_minute())
            .await
            .expect_err("no answer");
        assert_eq!(error.effect, Effect::Unknown);
        assert_eq!(seen.lines().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_left_or_was_turned_away_is_repeated() {
    let (transport, seen) = script::transport(vec![
        Answer::Lost(false),
        script::json(429, json!({})),
        ok(),
    ]);
    transport
        .send(&write(), in_a_minute())
        .await
        .expect("an answer");
    assert_eq!(seen.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final() {
    let (transport, seen) = script::transport(vec![script::json(403, json!({}))]);
    let error = transport
        .send(&read(), in_a_minute())
        .await
        .expect_err("refused");
    assert_eq!(
        (error.code.as_str(), error.transient),
        ("PERMISSION_DENIED", false)
    );
    assert_eq!(seen.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_to_wait() {
    let busy = || with_headers(429, &[("retry-after", "7")], json!({}));
    let (transport, _) = script::transport(vec![busy(), ok()]);
    let started = Instant::now();
    transport
        .send(&read(), in_a_minute())
        .await
        .expect("an answer");
    assert_eq!(started.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let (transport, seen) =
        script::transport(vec![with_headers(429, &[("retry-after", "90")], json!({}))]);
    let started = Instant::now();
    let error = transport
        .send(&read(), in_a_minute())
        .await
        .expect_err("too long");
    assert_eq!(error.retry_after, Some(Duration::from_secs(90)));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(seen.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_end() {
    let (transport, seen) = script::transport((0..9).map(|_| Answer::Lost(true)).collect());
    transport
        .send(&read(), in_a_minute())
        .await
        .expect_err("never answers");
    assert_eq!(seen.lines().len(), 5);
}

fn hub(answers: Vec<Answer>) -> (Transport, script::Seen) {
    let options = Options {
        hugging_face_token: Some(Secret::new("hf_token")),
        auth: auth::Options {
            sandbox: true,
            ..auth::Options::default()
        },
        ..Options::default()
    };
    script::with_options(options, answers)
}

#[tokio::test(start_paused = true)]
async fn a_redirect_within_the_hub_keeps_the_token_and_one_away_drops_it() {
    let to = |url: &str| with_headers(307, &[("location", url)], json!({}));
    let (transport, seen) = hub(vec![
        to("/api/models/new/name"),
        to("https://cdn.example/file"),
        ok(),
    ]);
    let request = Request::get(Api::Hub, "/api/models/old/name");
    transport
        .send(&request, in_a_minute())
        .await
        .expect("an answer");
    insta::assert_snapshot!(seen.lines().join("\n"), @"
    GET https://huggingface.co/api/models/old/name
    GET https://huggingface.co/api/models/new/name
    GET https://cdn.example/file
    ");
    let token = Some("Bearer hf_token".to_owned());
    assert_eq!(seen.header("authorization"), [token.clone(), token, None]);
}

#[tokio::test(start_paused = true)]
async fn google_never_sees_the_hubs_token_nor_the_hub_googles() {
    let (transport, seen) = hub(vec![ok(), ok()]);
    transport
        .send(&read(), in_a_minute())
        .await
        .expect("an answer");
    transport
        .send(&Request::get(Api::Hub, "/api/x"), in_a_minute())
        .await
        .expect("an answer");
    let tokens = ["Bearer sandbox", "Bearer hf_token"].map(|token| Some(token.to_owned()));
    assert_eq!(seen.header("authorization"), tokens);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_never_redirected_nor_tls_left() {
    let (transport, seen) = script::transport(vec![with_headers(
        307,
        &[("location", "https://evil.example/")],
        json!({}),
    )]);
    transport
        .send(&write(), in_a_minute())
        .await
        .expect_err("not followed");
    assert_eq!(seen.lines().len(), 1);

    let (transport, seen) = hub(vec![with_headers(
        302,
        &[("location", "http://huggingface.co/x")],
        json!({}),
    )]);
    transport
        .send(&Request::get(Api::Hub, "/x"), in_a_minute())
        .await
        .expect_err("not followed");
    assert_eq!(seen.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_json_says_so() {
    let (transport, _) = script::transport(vec![script::json(200, json!("text"))]);
    let error = transport
        .json::<Vec<u8>>(&write(), in_a_minute())
        .await
        .expect_err("not a list");
    assert!(
        error
            .message
            .starts_with("the answer is not the JSON that was expected"),
        "{error}"
    );
    assert_eq!(error.effect, Effect::Unknown);
}

#[tokio::test(start_paused = true)]
async fn each_exchange_is_reported_and_nothing_secret_is_shown() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let on_request: OnRequest = Arc::new(move |exchange: &Exchange<'_>| {
        let line = format!(
            "{} {} {} {:?} {:?}",
            exchange.attempt, exchange.method, exchange.url, exchange.status, exchange.lost
        );
        kept.lock().expect("not poisoned").push(line);
    });
    let options = Options {
        hugging_face_token: Some(Secret::new("hf_token")),
        on_request: Some(on_request),
        ..Options::default()
    };
    let (transport, _) = script::with_options(options, vec![Answer::Lost(true), ok()]);
    transport
        .send(&Request::get(Api::Hub, "/api/x"), in_a_minute())
        .await
        .expect("an answer");
    let lines = lines.lock().expect("not poisoned").join("\n");
    insta::assert_snapshot!(lines, @r#"
    1 GET https://huggingface.co/api/x None Some("no answer: connection reset")
    2 GET https://huggingface.co/api/x Some(200) None
    "#);
    assert!(!format!("{transport:?}").contains("hf_token"));
}

#[tokio::test(start_paused = true)]
async fn the_signature_of_an_address_elsewhere_is_not_reported() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let keep = shown.clone();
    let on_request: OnRequest = Arc::new(move |exchange: &Exchange<'_>| {
        keep.lock().expect("no panic").push(exchange.url.to_owned());
    });
    let signed = || {
        let at = "https://cdn.example/file?Signature=s3cret";
        with_headers(302, &[("location", at)], json!({}))
    };
    let options = Options {
        on_request: Some(on_request),
        ..Options::default()
    };
    let (transport, _) = script::with_options(options, vec![signed(), ok(), signed(), ok()]);
    let request = Request::get(Api::Hub, "/a/b/resolve/main/x").query("download", "true");
    // Whole and as it comes.
    transport
        .send(&request, in_a_minute())
        .await
        .expect("an answer");
    transport.open(&request).await.expect("an answer");
    let own = "https://huggingface.co/a/b/resolve/main/x?download=true";
    let elsewhere = "https://cdn.example/file";
    assert_eq!(
        *shown.lock().expect("no panic"),
        [own, elsewhere, own, elsewhere]
    );
}
