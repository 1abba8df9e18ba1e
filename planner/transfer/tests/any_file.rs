//! Any file, any break, any wrong byte, any kill: the same end, or a refusal by name with nothing left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use openmodel_schemas::quantity::Bytes as Size;
use openmodel_transfer::digest::{Midstate, Running};
use openmodel_transfer::file::{Meter, Mover, Patience};
use openmodel_transfer::pieces::Cutting;
use openmodel_transfer::ports::{
    Body, Found, Identity, Kept, Origin, Part, Store, Trouble, Wanted,
};
use proptest::prelude::*;

const CHUNK: usize = 100;

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
    readings: Mutex<VecDeque<Reading>>,
    /// Chunks until everything stands still, as before a kill.
    left: Mutex<Option<usize>>,
}

impl Origin for Hub {
    fn open<'a>(&'a self, _file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
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

/// Bytes, and the state after them once they are sealed.
type Object = (Vec<u8>, Option<Midstate>);

#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
    writings: Mutex<VecDeque<Writing>>,
}

impl Bucket {
    fn kept(name: &str, bytes: &[u8]) -> Kept {
        let mut running = Running::new();
        running.update(bytes);
        Kept {
            name: name.to_owned(),
            generation: 1,
            length: bytes.len() as u64,
            crc32c: running.crc32c(),
        }
    }
}

fn piece_name(path: &str, index: u32) -> String {
    format!("{path}.piece-{index:02}")
}

impl Store for Bucket {
    fn find<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Found, Trouble>> {
        let objects = self.objects.lock().expect("it is free");
        if let Some((bytes, _)) = objects.get(&file.path) {
            let kept = Self::kept(&file.path, bytes);
            return Box::pin(async { Ok(Found::Whole(kept)) });
        }
        let (mut sealed, mut loose) = (Vec::new(), Vec::new());
        for (name, (bytes, state)) in objects.iter() {
            let kept = Self::kept(name, bytes);
            match state {
                Some(state) if loose.is_empty() => sealed.push((kept, state.clone())),
                _ => loose.push(kept),
            }
        }
        Box::pin(async { Ok(Found::Pieces { sealed, loose }) })
    }

    fn write<'a>(
        &'a self,
        file: &'a Wanted,
        part: Part,
        mut body: Body,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        let writing = self.writings.lock().expect("it is free").pop_front();
        Box::pin(async move {
            let (name, length) = match part {
                Part::Whole => (file.path.clone(), file.size.0),
                Part::Piece(piece) => (piece_name(&file.path, piece.index), piece.length),
            };
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk?);
                if let Some(Writing::Refused { after }) = writing
                    && bytes.len() > after
                {
                    return Err(Trouble::passing("503"));
                }
            }
            if bytes.len() as u64 != length {
                return Err(Trouble::passing("the body ended early"));
            }
            if let (Some(Writing::Spoiled), Some(first)) = (writing, bytes.first_mut()) {
                *first ^= 1;
            }
            let kept = Self::kept(&name, &bytes);
            let mut objects = self.objects.lock().expect("it is free");
            objects.insert(name, (bytes, None));
            Ok(kept)
        })
    }

    fn seal<'a>(
        &'a self,
        _file: &'a Wanted,
        piece: &'a Kept,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let mut objects = self.objects.lock().expect("it is free");
        if let Some((_, state)) = objects.get_mut(&piece.name) {
            *state = Some(after.clone());
        }
        Box::pin(async { Ok(()) })
    }

    fn join<'a>(
        &'a self,
        file: &'a Wanted,
        pieces: &'a [Kept],
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        let mut objects = self.objects.lock().expect("it is free");
        let whole: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| objects[&piece.name].0.clone())
            .collect();
        let kept = Self::kept(&file.path, &whole);
        objects.insert(file.path.clone(), (whole, None));
        Box::pin(async { Ok(kept) })
    }

    fn remove<'a>(&'a self, kept: &'a Kept) -> BoxFuture<'a, Result<(), Trouble>> {
        self.objects.lock().expect("it is free").remove(&kept.name);
        Box::pin(async { Ok(()) })
    }
}

struct World {
    hub: Arc<Hub>,
    bucket: Arc<Bucket>,
    mover: Mover,
    file: Wanted,
}

/// A file of so many bytes, cut into pieces of 1,000.
fn world(length: usize, in_git: bool, readings: Vec<Reading>, writings: Vec<Writing>) -> World {
    let content: Vec<u8> = (0..=250_u8)
        .map(|byte| byte.wrapping_mul(31))
        .cycle()
        .take(length)
        .collect();
    let mut running = Running::of_blob(length as u64);
    running.update(&content);
    let digests = running.finish();
    let identity = match digests.blob {
        Some(blob) if in_git => Identity::Blob(blob),
        _ => Identity::Sha256(digests.sha256),
    };
    let hub = Arc::new(Hub {
        content,
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
            cutting: Cutting {
                whole: 2000,
                least: 1000,
                unit: 10,
            },
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
        let objects = self.bucket.objects.lock().expect("it is free");
        let names: Vec<&String> = objects.keys().collect();
        assert_eq!(names, [&self.file.path]);
        assert!(
            objects[&self.file.path].0 == self.hub.content,
            "other bytes"
        );
    }

    fn is_empty(&self) -> bool {
        self.bucket.objects.lock().expect("it is free").is_empty()
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
        let kept = run(world.mover.file(&world.file)).expect("troubles that pass");
        prop_assert_eq!(kept.length, length as u64);
        world.check_whole();
        // And again: it is there.
        let read = world.mover.meter.read();
        run(world.mover.file(&world.file)).expect("it is there");
        prop_assert_eq!(world.mover.meter.read(), read);
    }

    #[test]
    fn killed_and_started_again_reads_no_more_than_one_piece_twice(
        length in 2001_usize..32_000,
        kills in proptest::collection::vec(0_usize..80, 1..5),
    ) {
        let world = world(length, false, Vec::new(), Vec::new());
        let piece = world.mover.cutting.of(length as u64).pieces().next().expect("a piece").length;
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
        prop_assert!(twice <= piece * kills.len() as u64, "{twice} bytes twice in {} kills", kills.len());
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
