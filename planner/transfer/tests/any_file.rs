//! Any file, any break, any wrong byte, any kill: the same end, or a refusal by name with nothing left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use openmodel_schemas::quantity::Bytes as Size;
use openmodel_transfer::digest::{Digests, Midstate, Running};
use openmodel_transfer::file::{How, Meter, Mover, Patience};
use openmodel_transfer::ports::{
    Begun, Body, Identity, Kept, Origin, Span, Store, Trouble, Wanted,
};
use proptest::prelude::*;

const CHUNK: usize = 100;

/// Bytes between two seals.
const SPAN: u64 = 1000;

/// What goes wrong with one reading.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Well,
    /// It is refused; the next may be answered.
    Refused,
    /// It ends after so many bytes, with an error or as if it were whole.
    Ends {
        after: usize,
        silently: bool,
    },
    /// One bit is another.
    Flipped {
        at: usize,
    },
}

/// What goes wrong with one writing.
#[derive(Debug, Clone, Copy)]
enum Writing {
    Well,
    /// It is refused after so many bytes.
    Refused {
        after: usize,
    },
    /// Other bytes are kept than were given.
    Spoiled,
}

struct Hub {
    content: Vec<u8>,
    /// How often a file was asked for.
    opened: AtomicUsize,
    readings: Mutex<VecDeque<Reading>>,
    /// Chunks until everything stands still, as before a kill.
    left: Mutex<Option<usize>>,
}

impl Origin for Hub {
    fn open<'a>(&'a self, _file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let reading = self.readings.lock().expect("it is free").pop_front();
        let offset = usize::try_from(offset).expect("it is small");
        let mut rest = self.content[offset..].to_vec();
        let mut end = None;
        match reading.unwrap_or(Reading::Well) {
            Reading::Well => {}
            Reading::Refused => {
                return Box::pin(async { Err(Trouble::passing("busy")) });
            }
            Reading::Ends { after, silently } => {
                rest.truncate(after);
                if !silently {
                    end = Some(Err(Trouble::passing("reset")));
                }
            }
            Reading::Flipped { at } => {
                if let Some(byte) = rest.get_mut(at) {
                    *byte ^= 4;
                }
            }
        }
        let chunks: Vec<_> = rest
            .chunks(CHUNK)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .chain(end)
            .collect();
        Box::pin(async move {
            let mut stop = false;
            let chunks = chunks.into_iter().map(|chunk| {
                let mut left = self.left.lock().expect("it is free");
                if let Some(left) = left.as_mut() {
                    stop |= *left == 0;
                    *left = left.saturating_sub(1);
                }
                (chunk, stop)
            });
            let chunks: Vec<_> = chunks.collect();
            let body = futures::stream::iter(chunks).then(|(chunk, stop)| async move {
                if stop {
                    std::future::pending::<()>().await;
                }
                chunk
            });
            Ok(body.boxed())
        })
    }
}

#[derive(Default)]
struct Bucket {
    /// Files that are there, whole.
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What was appended of a file, and the state after what is sealed of it.
    moving: Mutex<(Vec<u8>, Option<Midstate>)>,
    writings: Mutex<VecDeque<Writing>>,
}

impl Bucket {
    fn kept(bytes: &[u8]) -> Kept {
        Kept {
            generation: 1,
            crc32c: digests(bytes).crc32c,
        }
    }
}

fn digests(bytes: &[u8]) -> Digests {
    let mut running = Running::of_blob(bytes.len() as u64);
    running.update(bytes);
    running.finish()
}

impl Store for Bucket {
    fn begin<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>> {
        let files = self.files.lock().expect("it is free");
        let begun = match files.get(&file.path) {
            Some(bytes) => Begun::Whole(Self::kept(bytes)),
            None => Begun::From(self.moving.lock().expect("it is free").1.clone()),
        };
        Box::pin(async { Ok(begun) })
    }

    fn append<'a>(
        &'a self,
        _file: &'a Wanted,
        span: Span,
        mut body: Body,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let writing = self.writings.lock().expect("it is free").pop_front();
        Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk?);
                if let Some(Writing::Refused { after }) = writing
                    && bytes.len() > after
                {
                    return Err(Trouble::passing("the store is busy"));
                }
            }
            if bytes.len() as u64 != span.length {
                return Err(Trouble::passing("a body that ended early"));
            }
            if let (Some(Writing::Spoiled), Some(byte)) = (writing, bytes.first_mut()) {
                *byte ^= 1;
            }
            let mut moving = self.moving.lock().expect("it is free");
            moving
                .0
                .truncate(usize::try_from(span.offset).expect("it is small"));
            assert_eq!(moving.0.len() as u64, span.offset, "a gap");
            moving.0.extend(bytes);
            Ok(())
        })
    }

    fn seal<'a>(
        &'a self,
        _file: &'a Wanted,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        self.moving.lock().expect("it is free").1 = Some(after.clone());
        Box::pin(async { Ok(()) })
    }

    fn finish<'a>(
        &'a self,
        file: &'a Wanted,
        digests_given: &'a Digests,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        let (bytes, _) = std::mem::take(&mut *self.moving.lock().expect("it is free"));
        let kept = Self::kept(&bytes);
        if kept.crc32c != digests_given.crc32c {
            return Box::pin(async { Err(Trouble::passing("the store kept other bytes")) });
        }
        let mut files = self.files.lock().expect("it is free");
        files.insert(file.path.clone(), bytes);
        Box::pin(async { Ok(kept) })
    }

    fn discard<'a>(&'a self, _file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        std::mem::take(&mut *self.moving.lock().expect("it is free"));
        Box::pin(async { Ok(()) })
    }

    fn release<'a>(&'a self, _file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    hub: Arc<Hub>,
    bucket: Arc<Bucket>,
    mover: Mover,
    file: Wanted,
}

/// A file of so many bytes, sealed every [`SPAN`].
fn world(length: usize, in_git: bool, readings: Vec<Reading>, writings: Vec<Writing>) -> World {
    let content: Vec<u8> = (0..=250_u8)
        .map(|byte| byte.wrapping_mul(31))
        .cycle()
        .take(length)
        .collect();
    let digests = digests(&content);
    let identity = match digests.blob {
        Some(blob) if in_git => Identity::Blob(blob),
        _ => Identity::Sha256(digests.sha256),
    };
    let hub = Arc::new(Hub {
        content,
        opened: AtomicUsize::new(0),
        readings: Mutex::new(readings.into()),
        left: Mutex::new(None),
    });
    let bucket = Arc::new(Bucket {
        writings: Mutex::new(writings.into()),
        ..Bucket::default()
    });
    World {
        mover: Mover {
            origin: hub.clone(),
            store: bucket.clone(),
            span: SPAN,
            throttle: None,
            patience: Patience {
                first: Duration::from_millis(1),
                longest: Duration::from_millis(4),
            },
            meter: Arc::new(Meter::default()),
        },
        hub,
        bucket,
        file: Wanted {
            path: "model.safetensors".to_owned(),
            size: Size(length as u64),
            identity,
        },
    }
}

impl World {
    /// The file is there, whole and right, and nothing else is.
    fn check_whole(&self) {
        let files = self.bucket.files.lock().expect("it is free");
        let names: Vec<&String> = files.keys().collect();
        assert_eq!(names, [&self.file.path]);
        assert!(files[&self.file.path] == self.hub.content, "other bytes");
        assert!(self.bucket.moving.lock().expect("it is free").0.is_empty());
    }

    /// Nothing is readable, and nothing wrong lies around.
    fn is_empty(&self) -> bool {
        let moving = self.bucket.moving.lock().expect("it is free");
        self.bucket.files.lock().expect("it is free").is_empty()
            && self.hub.content.starts_with(&moving.0)
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

fn passing() -> impl Strategy<Value = Reading> {
    prop_oneof![
        2 => Just(Reading::Well),
        1 => Just(Reading::Refused),
        2 => (0_usize..9000, any::<bool>()).prop_map(|(after, silently)| Reading::Ends { after, silently }),
    ]
}

fn writing() -> impl Strategy<Value = Writing> {
    prop_oneof![
        2 => Just(Writing::Well),
        1 => (0_usize..9000).prop_map(|after| Writing::Refused { after }),
        1 => Just(Writing::Spoiled),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_breaks_off_the_file_arrives(
        length in 0_usize..9000,
        in_git in any::<bool>(),
        readings in proptest::collection::vec(passing(), 0..6),
        writings in proptest::collection::vec(writing(), 0..4),
    ) {
        // A file in Git is small: it is never cut.
        let length = if in_git { length % 2000 } else { length };
        let world = world(length, in_git, readings, writings);
        let moved = run(world.mover.file(&world.file)).expect("troubles that pass");
        prop_assert!(matches!(moved, Some((_, How::Read))));
        world.check_whole();
        prop_assert_eq!(world.mover.meter.there(), length as u64);
        // And again: it is there.
        let read = world.mover.meter.read();
        let moved = run(world.mover.file(&world.file)).expect("it is there");
        prop_assert!(matches!(moved, Some((_, How::Found))));
        prop_assert_eq!(world.mover.meter.read(), read);
    }

    #[test]
    fn killed_and_started_again_reads_no_more_than_one_span_twice(
        length in 2001_usize..32_000,
        kills in proptest::collection::vec(0_usize..80, 1..5),
    ) {
        let world = world(length, false, Vec::new(), Vec::new());
        run(async {
            for chunks in &kills {
                *world.hub.left.lock().expect("it is free") = Some(*chunks);
                let moving = world.mover.file(&world.file);
                // The reader stands still at some point: what is in flight has long arrived by then.
                let _ = tokio::time::timeout(Duration::from_millis(20), moving).await;
            }
            *world.hub.left.lock().expect("it is free") = None;
            world.mover.file(&world.file).await.expect("nothing is wrong");
        });
        world.check_whole();
        let twice = world.mover.meter.read() - length as u64;
        prop_assert!(twice <= SPAN * kills.len() as u64, "{twice} bytes twice in {} kills", kills.len());
    }

    #[test]
    fn a_wrong_byte_is_read_again_or_refused_and_never_stays(
        length in 1_usize..9000,
        at in 0_usize..1000,
        always in any::<bool>(),
    ) {
        let at = at % length.min(1000);
        let flips = if always { 64 } else { 1 };
        let world = world(length, false, vec![Reading::Flipped { at }; flips], Vec::new());
        match run(world.mover.file(&world.file)) {
            Ok(_) => {
                prop_assert!(!always);
                world.check_whole();
            }
            Err(trouble) => {
                prop_assert!(always);
                prop_assert!(trouble.message.contains("model.safetensors: the Hub says"), "{trouble}");
                prop_assert!(world.is_empty());
            }
        }
    }
}

#[test]
fn a_file_that_is_sealed_many_times_is_asked_for_once() {
    let world = world(8_550, false, Vec::new(), Vec::new());
    run(world.mover.file(&world.file)).expect("nothing is wrong");
    world.check_whole();
    // The Hub counts what it is asked, and refuses those that ask too often.
    assert_eq!(world.hub.opened.load(Ordering::Relaxed), 1);
    assert_eq!(world.mover.meter.read(), 8_550);
}

#[test]
fn an_origin_that_never_answers_is_given_up_by_name() {
    let world = world(5000, false, vec![Reading::Refused; 64], Vec::new());
    let trouble = run(world.mover.file(&world.file)).expect_err("it never answers");
    assert!(trouble.message.contains("busy; tried 8 times"), "{trouble}");
    assert!(world.is_empty());
}

#[test]
fn a_store_that_keeps_other_bytes_is_given_up_by_name() {
    let world = world(500, false, Vec::new(), vec![Writing::Spoiled; 64]);
    let trouble = run(world.mover.file(&world.file)).expect_err("it never keeps them");
    assert!(
        trouble.message.contains("the store kept other bytes"),
        "{trouble}"
    );
    assert!(world.is_empty());
}

#[test]
fn a_file_that_gets_on_between_its_troubles_arrives() {
    // Each try seals a further span, and breaks in the next.
    let writings = [Writing::Well, Writing::Refused { after: 0 }].repeat(10);
    let world = world(40_000, false, Vec::new(), writings);
    run(world.mover.file(&world.file)).expect("it gets on");
    world.check_whole();
}

/// A Hub that is read while another file arrives.
struct Beside(Arc<Hub>, Mover, Wanted);

impl Origin for Beside {
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        Box::pin(async move {
            self.1.file(&self.2).await?;
            self.0.open(file, offset).await
        })
    }
}

#[test]
fn a_file_that_never_gets_on_is_given_up_though_others_do() {
    let refused = vec![Writing::Refused { after: 0 }; 64];
    let mut stuck = world(5_000, false, Vec::new(), refused);
    let other = world(500, false, Vec::new(), Vec::new());
    stuck.mover.meter = other.mover.meter.clone();
    stuck.mover.origin = Arc::new(Beside(stuck.hub.clone(), other.mover, other.file));
    let trouble = run(stuck.mover.file(&stuck.file)).expect_err("it never gets on");
    assert!(trouble.message.contains("tried 8 times"), "{trouble}");
}
