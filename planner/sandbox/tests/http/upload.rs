//! Cloud Storage's uploads: whole, in two parts, resumable, by the XML API; and how they go wrong.

use crate::common::{Answer, World};
use crate::storage::{BUCKET, refused};
use openmodel_sandbox::Options;
use serde_json::{Value, json};

const BLOCK: usize = 256 << 10;

/// Bytes in which no two blocks are alike.
fn bytes(size: usize) -> Vec<u8> {
    let word = |at: usize| {
        u32::try_from(at)
            .expect("small")
            .wrapping_mul(2_654_435_761)
    };
    (0..size).map(|at| word(at).to_le_bytes()[3]).collect()
}

async fn world() -> World {
    World::start().with_bucket("models", "US").await
}

impl World {
    /// Open a session for an object; its address.
    async fn session(&self, metadata: Value, more: &str) -> String {
        let path = format!("/upload/storage/v1/b/models/o?uploadType=resumable{more}");
        let answer = self.post(&path, metadata).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("location").to_owned()
    }

    async fn chunk(&self, session: &str, range: &str, content: &[u8]) -> Answer {
        // Without a token: the address is enough.
        let request = self.request("PUT", session).header("content-range", range);
        self.send(request.body(content.to_vec())).await
    }

    async fn fault(&self, rule: Value) {
        self.post("/sandbox/faults", rule).await.ok();
    }
}

#[tokio::test]
async fn a_wrong_checksum_stores_nothing() {
    let world = world().await;
    let path = "/upload/storage/v1/b/models/o?uploadType=media&name=a";
    let put = async |hash: &str| {
        let request = world.request("POST", path).bearer_auth("t");
        world
            .send(request.header("x-goog-hash", hash).body("123456789"))
            .await
    };
    for wrong in [
        "crc32c=AAAAAA==",
        "md5=JfnnlDI7RTiF9RgfG2JNCA==",
        "crc32c=!",
        "sha256=AA==",
    ] {
        let answer = put(wrong).await;
        assert_eq!(refused(&answer).0, 400, "{wrong}");
    }
    assert_eq!(world.content("models", "a").await.status, 404);
    assert_eq!(
        put("crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==")
            .await
            .status,
        200
    );
    assert_eq!(world.content("models", "a").await.text(), "123456789");
    // The same by a session, with the sum in its metadata: it ends, and stores nothing.
    let session = world
        .session(json!({"name": "b", "crc32c": "AAAAAA=="}), "")
        .await;
    assert_eq!(
        refused(&world.chunk(&session, "bytes 0-8/9", b"123456789").await).0,
        400
    );
    assert_eq!(world.chunk(&session, "bytes */9", b"").await.status, 404);
    assert_eq!(world.content("models", "b").await.status, 404);
}

#[tokio::test]
async fn metadata_and_content_come_in_one_body_with_either_line_end() {
    let world = world().await;
    let content = bytes(3 << 20);
    for (name, end) in [("crlf", "\r\n"), ("lf", "\n")] {
        let metadata =
            json!({"name": name, "metadata": {"hf-commit": "abc"}, "contentType": "text/a"});
        let head = format!(
            "--xx{end}Content-Type: application/json{end}{end}{metadata}{end}--xx{end}\
             Content-Type: text/b{end}{end}"
        );
        let body = [
            head.as_bytes(),
            &content,
            format!("{end}--xx--{end}").as_bytes(),
        ]
        .concat();
        let path = "/upload/storage/v1/b/models/o?uploadType=multipart";
        let send = async |body: Vec<u8>| {
            let request = world.request("POST", path).bearer_auth("t");
            let request = request.header("content-type", "multipart/related; boundary=xx");
            world.send(request.body(body)).await
        };
        let made = send(body.clone()).await.ok();
        assert_eq!(
            (&made["contentType"], &made["metadata"]),
            (&json!("text/a"), &metadata["metadata"])
        );
        assert_eq!(world.content("models", name).await.body, content, "{name}");
        let short = send(body[..body.len() - 12].to_vec()).await;
        assert_eq!(refused(&short).0, 400, "without its end");
    }
}

#[tokio::test]
async fn a_session_takes_blocks_and_tells_how_far_it_is() {
    let world = world().await;
    let content = bytes(2 * BLOCK + 1_000);
    let total = content.len();
    let session = world
        .session(
            json!({"name": "a", "contentType": "text/a"}),
            "&ifGenerationMatch=0",
        )
        .await;
    let status = format!("bytes */{total}");
    let none = world.chunk(&session, &status, b"").await;
    assert_eq!((none.status, none.header("range")), (308, ""));
    let few = world.chunk(&session, "bytes 0-99/*", &content[..100]).await;
    assert_eq!(refused(&few).0, 400, "less than a block");
    // A chunk and a half: only whole blocks are kept.
    let half = BLOCK + BLOCK / 2;
    let one = world
        .chunk(
            &session,
            &format!("bytes 0-{}/*", half - 1),
            &content[..half],
        )
        .await;
    assert_eq!((one.status, one.header("range")), (308, "bytes=0-262143"));
    let gap = world
        .chunk(
            &session,
            &format!("bytes {half}-{}/{total}", total - 1),
            &content[half..],
        )
        .await;
    assert_eq!(refused(&gap).0, 503);
    // What it has already is not taken twice.
    let overlap = world
        .chunk(
            &session,
            &format!("bytes 0-{}/{total}", 2 * BLOCK - 1),
            &content[..2 * BLOCK],
        )
        .await;
    assert_eq!(
        (overlap.status, overlap.header("range")),
        (308, "bytes=0-524287")
    );
    let rest = format!("bytes {}-{}/{total}", 2 * BLOCK, total - 1);
    let done = world
        .chunk(&session, &rest, &content[2 * BLOCK..])
        .await
        .ok();
    assert_eq!(
        (&done["size"], &done["contentType"]),
        (&json!(total.to_string()), &json!("text/a"))
    );
    assert_eq!(world.content("models", "a").await.body, content);
    assert_eq!(
        world.chunk(&session, &status, b"").await.ok()["generation"],
        done["generation"],
        "told again"
    );

    let taken = "/upload/storage/v1/b/models/o?uploadType=resumable&name=a&ifGenerationMatch=0";
    assert_eq!(world.post(taken, json!({})).await.status, 412);
    // The object appears between the start and the end: the end is refused.
    let late = world
        .session(json!({"name": "b"}), "&ifGenerationMatch=0")
        .await;
    world.put("models", "b", b"other", "").await.ok();
    assert_eq!(world.chunk(&late, "bytes 0-3/4", b"mine").await.status, 412);
    assert_eq!(world.content("models", "b").await.text(), "other");
}

#[tokio::test]
async fn a_session_ends_by_cancel_by_time_and_by_a_size_that_was_not_announced() {
    let world = world().await;
    let session = world.session(json!({"name": "a"}), "").await;
    let cancel = world.send(world.request("DELETE", &session)).await;
    assert_eq!(cancel.status, 499);
    assert_eq!(world.chunk(&session, "bytes 0-0/1", b"x").await.status, 404);
    let nowhere = format!(
        "{}/upload/storage/v1/b/models/o?upload_id=nothing",
        world.sandbox.url()
    );
    assert_eq!(
        refused(&world.chunk(&nowhere, "bytes */*", b"").await).0,
        404
    );

    world
        .call(
            "PUT",
            "/sandbox/storage",
            Some(json!({"uploadSeconds": 60})),
        )
        .await
        .ok();
    let session = world.session(json!({"name": "a"}), "").await;
    world
        .post("/sandbox/clock/advance", json!({"seconds": 61}))
        .await
        .ok();
    assert_eq!(
        refused(&world.chunk(&session, "bytes 0-0/1", b"x").await),
        (410, "gone".to_owned())
    );

    let path = "/upload/storage/v1/b/models/o?uploadType=resumable&name=a";
    let request = world
        .request("POST", path)
        .bearer_auth("t")
        .header("x-upload-content-length", "9");
    let session = world.send(request).await.header("location").to_owned();
    assert_eq!(
        refused(&world.chunk(&session, "bytes 0-0/1", b"x").await).0,
        400
    );
    assert_eq!(
        world.sandbox.inventory().as_array().map(Vec::len),
        Some(1),
        "the bucket alone"
    );
}

#[tokio::test]
async fn an_upload_that_is_cut_goes_on_from_its_last_block() {
    let world = world().await;
    let content = bytes(3 * BLOCK);
    let session = world.session(json!({"name": "a"}), "").await;
    let cut = BLOCK + 100;
    world
        .fault(json!({"match": {"method": "PUT", "query": "upload_id=*"}, "times": 1, "then": {"cutUploadBytes": cut}}))
        .await;
    let range = format!("bytes 0-{}/{}", content.len() - 1, content.len());
    let request = world
        .request("PUT", &session)
        .header("content-range", &range);
    request
        .body(content.clone())
        .send()
        .await
        .expect_err("the connection is closed");
    let far = world
        .chunk(&session, &format!("bytes */{}", content.len()), b"")
        .await;
    assert_eq!((far.status, far.header("range")), (308, "bytes=0-262143"));
    let range = format!("bytes {BLOCK}-{}/{}", content.len() - 1, content.len());
    assert_eq!(
        world
            .chunk(&session, &range, &content[BLOCK..])
            .await
            .status,
        200
    );
    assert_eq!(world.content("models", "a").await.body, content);

    // Of an upload in one request nothing is left.
    world
        .fault(json!({"match": {"method": "POST"}, "times": 1, "then": {"cutUploadBytes": 10}}))
        .await;
    let path = "/upload/storage/v1/b/models/o?uploadType=media&name=b";
    let request = world
        .request("POST", path)
        .bearer_auth("t")
        .body(content.clone());
    request.send().await.expect_err("the connection is closed");
    assert_eq!(world.content("models", "b").await.status, 404);
}

#[tokio::test]
async fn a_client_may_come_back_while_its_first_request_still_hangs() {
    use std::io::{Read as _, Write as _};
    let world = world().await;
    let content = bytes(2 * BLOCK + 1_000);
    let total = content.len();
    let session = world.session(json!({"name": "a"}), "").await;
    let (_, path) = session.split_once("//").expect("a URL");
    let (host, path) = path.split_once('/').expect("a path");
    let mut first = std::net::TcpStream::connect(host).expect("the port");
    let head = format!(
        "PUT /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {total}\r\n\
         Content-Range: bytes 0-{}/{total}\r\n\r\n",
        total - 1
    );
    first.write_all(head.as_bytes()).expect("an open line");
    first
        .write_all(&content[..BLOCK + 5_000])
        .expect("an open line");
    // Until the first block of the first request is there.
    let status = format!("bytes */{total}");
    while world
        .chunk(&session, &status, b"")
        .await
        .header("range")
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    let range = format!("bytes {BLOCK}-{}/*", 2 * BLOCK - 1);
    let second = world
        .chunk(&session, &range, &content[BLOCK..2 * BLOCK])
        .await;
    assert_eq!(second.header("range"), "bytes=0-524287");
    first
        .write_all(&content[BLOCK + 5_000..])
        .expect("an open line");
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.content("models", "a").await.body, content);
}

#[tokio::test]
async fn the_usual_faults_work_on_contents() {
    let world = world().await;
    let content = bytes(3 << 20);
    world.put("models", "a", &content, "").await.ok();
    let media = json!({"query": "alt=media"});
    world
        .fault(json!({"match": media, "times": 1, "then": {"truncateBytes": 1_000_000}}))
        .await;
    let path = format!("{BUCKET}/o/a?alt=media");
    let mut answer = world
        .request("GET", &path)
        .bearer_auth("t")
        .send()
        .await
        .expect("a head");
    let mut got = 0;
    let end = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => got += chunk.len(),
            other => break other,
        }
    };
    assert_eq!(got, 1_000_000);
    end.expect_err("the connection ends before the body does");

    let upload = json!({"query": "uploadType=media"});
    world
        .fault(json!({"match": upload, "times": 1, "then": {"respond": {"status": 503}}}))
        .await;
    let refused_once = world.put("models", "b", &content, "").await;
    assert_eq!(refused(&refused_once), (503, "backendError".to_owned()));
    assert_eq!(world.content("models", "b").await.status, 404);
    world
        .fault(json!({"match": upload, "times": 1, "then": {"lose": "after"}}))
        .await;
    let path = "/upload/storage/v1/b/models/o?uploadType=media&name=b";
    let request = world
        .request("POST", path)
        .bearer_auth("t")
        .body(content.clone());
    request.send().await.expect_err("no answer");
    assert_eq!(
        world.content("models", "b").await.body,
        content,
        "it had its effect"
    );
}

#[tokio::test]
async fn the_xml_api_moves_an_object_whole_or_in_parts() {
    let world = world().await;
    let request = |method: &str, path: &str| world.request(method, path).bearer_auth("t");
    let put = request("PUT", "/models/folder/a")
        .header("x-goog-if-generation-match", "0")
        .header("x-goog-meta-hf-commit", "abc")
        .header("x-goog-hash", "crc32c=4waSgw==")
        .body("123456789");
    let made = world.send(put).await;
    assert_eq!(
        (made.status, made.header("etag")),
        (200, "\"25f9e794323b453885f5181f1b624d0b\"")
    );
    let again = request("PUT", "/models/folder/a")
        .header("x-goog-if-generation-match", "0")
        .body("x");
    let again = world.send(again).await;
    assert!(again.status == 412 && again.text().contains("<Code>PreconditionFailed</Code>"));
    let head = world.send(request("HEAD", "/models/folder/a")).await;
    assert_eq!((head.status, head.header("content-length")), (200, "9"));
    assert_eq!(head.header("x-goog-meta-hf-commit"), "abc");
    let host = request("GET", "/folder/a").header("host", "models.storage.googleapis.com");
    let part = world.send(host.header("range", "bytes=3-5")).await;
    assert_eq!((part.status, part.text().as_str()), (206, "456"));
    let missing = world.send(request("GET", "/models/b")).await;
    assert!(
        missing.status == 404 && missing.text().contains("<Code>NoSuchKey</Code>"),
        "{}",
        missing.text()
    );

    let (first, second) = (bytes(5 << 20), bytes(1_000));
    let start = world
        .send(request("POST", "/models/big?uploads"))
        .await
        .text();
    let id = start
        .split("<UploadId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let upload = format!("/models/big?uploadId={}", id.expect("an id"));
    let mut list = String::new();
    for (number, content) in [(2, &second), (1, &first)] {
        let part = request("PUT", &format!("{upload}&partNumber={number}")).body(content.clone());
        let etag = world.send(part).await.header("etag").to_owned();
        list = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>{list}");
    }
    let parts = world.send(request("GET", &upload)).await.text();
    assert!(parts.contains("<Size>5242880</Size>") && parts.contains("<PartNumber>2</PartNumber>"));
    let kinds = |world: &World| world.sandbox.inventory().to_string();
    assert!(kinds(&world).contains("MultipartUpload"), "it is paid for");
    let complete = async |list: &str| {
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        world.send(request("POST", &upload).body(body)).await
    };
    let wrong = complete("<Part><PartNumber>1</PartNumber><ETag>\"00\"</ETag></Part>").await;
    assert!(
        wrong.status == 400 && wrong.text().contains("InvalidPart"),
        "{}",
        wrong.text()
    );
    let done = complete(&list).await;
    assert!(done.status == 200 && done.text().contains("CompleteMultipartUploadResult"));
    assert_eq!(
        world.content("models", "big").await.body,
        [first, second].concat()
    );
    let object = world.get(&format!("{BUCKET}/o/big")).await.ok();
    assert_eq!(
        (&object["componentCount"], &object["md5Hash"]),
        (&json!(2), &Value::Null)
    );
    assert!(!kinds(&world).contains("MultipartUpload"));
    assert_eq!(
        world.send(request("DELETE", &upload)).await.status,
        404,
        "it is finished"
    );
}

#[tokio::test]
async fn contents_may_be_counted_and_dropped_and_small_ones_outlive_the_sandbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options {
        state_file: Some(folder.path().join("state.json")),
        ..Options::default()
    };
    let world = World::with(options()).with_bucket("models", "US").await;
    let large = bytes(2 << 20);
    world.put("models", "small", b"123456789", "").await.ok();
    world.put("models", "large", &large, "").await.ok();
    world
        .call(
            "PUT",
            "/sandbox/storage",
            Some(json!({"discardContent": true})),
        )
        .await
        .ok();
    let dropped = world.put("models", "dropped", b"123456789", "").await.ok();
    assert_eq!(
        (&dropped["crc32c"], &dropped["md5Hash"]),
        (&json!("4waSgw=="), &json!("JfnnlDI7RTiF9RgfG2JNCw=="))
    );
    let unread = world.content("models", "dropped").await;
    assert!(
        unread.status == 400 && unread.text().contains("discard"),
        "{}",
        unread.text()
    );
    assert_eq!(world.content("models", "large").await.body, large);
    let before = world.sandbox.inventory();
    world.sandbox.shutdown();

    let world = World::with(options());
    assert_eq!(world.sandbox.inventory(), before);
    assert_eq!(world.content("models", "small").await.text(), "123456789");
    let lost = world.content("models", "large").await;
    assert!(
        lost.status == 400 && lost.text().contains("temporary file"),
        "{}",
        lost.text()
    );
    world.post("/sandbox/reset", json!({})).await.ok();
    assert_eq!(world.sandbox.inventory(), json!([]));
}
