//! Running an execution: its tasks as processes, so many at once, each tried again by itself.
//!
//! ```text
//! task 0  ── attempt 0 ── ok
//! task 1  ── attempt 0 ── failed ── attempt 1 ── ok        at most `parallelism` at a time
//! task 2  ── attempt 0 ── failed ── … ── failed for good ─► the execution fails, when all is over
//! ```
//!
//! The world is locked only to write down what has happened. An execution that is no longer there,
//! or has been taken over after a reset, is left alone, and its processes are killed.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tokio::sync::watch;

use super::execution::{Attempt, Execution};
use super::launch::{Identity, Launch, failed, find};
use super::{Log, job};
use crate::clock::Time;
use crate::server::Shared;
use crate::world::World;

/// An execution that is to be run.
pub(crate) struct Start {
    /// Full name.
    pub(super) execution: String,
    /// Which start of an execution this is, in this process.
    pub(super) id: u64,
    /// True: cancel. Gone: kill and say nothing.
    pub(super) stop: watch::Receiver<bool>,
}

impl Start {
    /// Run all tasks to their end.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let start = &self;
        let width = start.with(&shared, |world, now| world.begin(&start.execution, now));
        let Some(Some((tasks, width))) = width else {
            return;
        };
        let shared = &shared;
        stream::iter(0..tasks)
            .map(|task| start.task(shared, task))
            .buffer_unordered(width)
            .collect::<()>()
            .await;
        start.with(shared, |world, now| {
            if let Some(execution) = world.run.jobs.execution_mut(&start.execution) {
                execution.end(now);
            }
            world.run.jobs.live.remove(&start.execution);
            world.run.sweep(now);
        });
    }

    /// Attempts of one task, until one succeeds or no more are allowed.
    async fn task(&self, shared: &Shared, task: usize) {
        let mut stop = self.stop.clone();
        for attempt in 0.. {
            let launch = self.with(shared, |world, now| {
                let stopping =
                    *stop.borrow() || world.run.jobs.execution(&self.execution).is_none();
                (!stopping).then(|| world.launch(&self.execution, task, attempt, now))
            });
            let result = match launch {
                Some(Some(Ok(launch))) => launch.run(&mut stop).await,
                Some(Some(Err(message))) => failed(5, message),
                _ => return,
            };
            if !self.ended(shared, task, result) {
                return;
            }
        }
    }

    /// Write an attempt down; true when another one is to follow.
    fn ended(&self, shared: &Shared, task: usize, result: Attempt) -> bool {
        let again = self.with(shared, |world, now| {
            let execution = world.run.jobs.execution_mut(&self.execution);
            execution.is_some_and(|execution| execution.end_task(task, result, now))
        });
        again == Some(true)
    }

    /// Change the world, if the execution is still this start's.
    fn with<T>(&self, shared: &Shared, change: impl FnOnce(&mut World, Time) -> T) -> Option<T> {
        let mut world = shared.world();
        let live = world.run.jobs.live.get(&self.execution)?;
        if live.id != self.id {
            return None;
        }
        world.version += 1;
        let now = world.clock.tick();
        Some(change(&mut world, now))
    }
}

impl World {
    /// How many tasks, and how many of them at once; nothing when it cannot begin.
    fn begin(&mut self, name: &str, now: Time) -> Option<(usize, usize)> {
        let strict = self.strict_secret_access;
        let jobs = &mut self.run.jobs;
        let project = name.split('/').nth(1).unwrap_or_default().to_owned();
        let known = jobs.execution(name).map(|execution| {
            let task = &execution.template["template"];
            let image = job::image(task);
            if find(&jobs.images, image).is_none() {
                return Err((super::missing_image(image), "CONTAINER_MISSING"));
            }
            let account = task["serviceAccount"].as_str().filter(|_| strict);
            let env = task["containers"][0]["env"].as_array();
            for variable in env.into_iter().flatten() {
                let wanted = &variable["valueSource"]["secretKeyRef"];
                if let Some(secret) = wanted["secret"].as_str() {
                    let version = wanted["version"].as_str().unwrap_or("latest");
                    self.secrets
                        .check_reference(&project, secret, version, account)
                        .map_err(|why| (why, "SECRETS_ACCESS_CHECK_FAILED"))?;
                }
            }
            Ok(())
        })?;
        let execution = jobs.execution_mut(name)?;
        if let Err((message, reason)) = known {
            execution.refuse(&message, reason, now);
            jobs.live.remove(name);
            self.run.sweep(now);
            return None;
        }
        execution.start(now);
        Some((execution.tasks.len(), execution.width()))
    }

    /// The process of an attempt, which begins now.
    fn launch(
        &mut self,
        name: &str,
        task: usize,
        attempt: u32,
        now: Time,
    ) -> Result<Launch, String> {
        let jobs = &mut self.run.jobs;
        let gone = || "The execution was deleted.".to_owned();
        let execution = jobs.execution_mut(name).ok_or_else(gone)?;
        execution.start_task(task, attempt, now);
        let execution: &Execution = jobs.execution(name).ok_or_else(gone)?;
        let mut parts = name.split('/').skip(1).step_by(2);
        let (project, job) = (parts.next(), parts.nth(1));
        let identity = Identity {
            project: project.unwrap_or_default(),
            job: job.unwrap_or_default(),
            execution: execution.id(),
            task,
            tasks: execution.tasks.len(),
            attempt,
        };
        let template = &execution.template["template"];
        let image = job::image(template);
        let image = find(&jobs.images, image).ok_or_else(|| super::missing_image(image))?;
        let mut launch = Launch::new(image, template, &self.secrets, &identity)?;
        let mut kills = jobs.kills.iter();
        launch.kill = kills.find_map(|kill| kill.after(identity.job, task, attempt));
        let log = Log {
            task,
            attempt,
            output: Arc::clone(&launch.output),
        };
        jobs.logs.entry(name.to_owned()).or_default().push(log);
        Ok(launch)
    }
}
