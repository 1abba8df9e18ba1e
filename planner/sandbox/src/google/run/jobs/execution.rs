//! An execution and its tasks: what was asked for, how far each task is, and how the API shows it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::condition::{Condition, Reason, State};
use crate::clock::Time;
use crate::ids;

/// Tasks that run at once where the job does not say how many may.
const MOST_AT_ONCE: usize = 100;

/// One run of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Execution {
    /// Full name.
    pub(super) name: String,
    /// Full name of its job.
    job: String,
    uid: String,
    created: Time,
    started: Option<Time>,
    completed: Option<Time>,
    updated: Time,
    /// The job's template, with the overrides of the run.
    pub(super) template: Value,
    pub(super) tasks: Vec<Task>,
    /// Set once somebody has asked to cancel it.
    pub(super) cancelled: bool,
    condition: Condition,
}

/// One task, over all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    state: Progress,
    started: Option<Time>,
    completed: Option<Time>,
    /// Attempts after the first.
    retried: u32,
    last: Option<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Progress {
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// How an attempt of a task ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) exit: Option<i32>,
    pub(super) signal: Option<i32>,
    /// A `google.rpc.Code`; 0 is success.
    pub(super) code: i32,
    pub(super) message: String,
}

impl Execution {
    pub(super) fn new(job: &str, id: &str, uid: String, template: Value, now: Time) -> Self {
        let count = template["taskCount"].as_u64().unwrap_or(1);
        let pending = Task {
            state: Progress::Pending,
            started: None,
            completed: None,
            retried: 0,
            last: None,
        };
        Self {
            name: format!("{job}/executions/{id}"),
            job: job.to_owned(),
            uid,
            created: now,
            started: None,
            completed: None,
            updated: now,
            template,
            tasks: vec![pending; usize::try_from(count).unwrap_or(0)],
            cancelled: false,
            condition: Condition::reconciling(now),
        }
    }

    /// The last part of its name.
    pub(super) fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// How many of its tasks may run at once.
    pub(super) fn width(&self) -> usize {
        let asked = self.template["parallelism"].as_u64().unwrap_or(0);
        let asked = usize::try_from(asked).unwrap_or(0);
        let most = if asked == 0 { MOST_AT_ONCE } else { asked };
        most.min(self.tasks.len()).max(1)
    }

    pub(in super::super) fn is_over(&self) -> bool {
        self.completed.is_some()
    }

    /// Why it failed; nothing while it runs, and when it succeeded or was cancelled.
    pub(in super::super) fn failure(&self) -> Option<&str> {
        let failed = self.condition.state == State::Failed && !self.cancelled;
        failed.then_some(self.condition.message.as_str())
    }

    /// Its tasks begin.
    pub(super) fn start(&mut self, now: Time) {
        self.started = Some(now);
        self.updated = now;
    }

    /// An attempt of a task begins.
    pub(super) fn start_task(&mut self, index: usize, attempt: u32, now: Time) {
        if let Some(task) = self.tasks.get_mut(index) {
            task.state = Progress::Running;
            task.started.get_or_insert(now);
            task.retried = attempt;
            self.updated = now;
        }
    }

    /// An attempt of a task has ended; true when another one is to follow.
    pub(super) fn end_task(&mut self, index: usize, attempt: Attempt, now: Time) -> bool {
        let retries = self.template["template"]["maxRetries"].as_u64();
        let Some(task) = self.tasks.get_mut(index) else {
            return false;
        };
        let left = u64::from(task.retried) < retries.unwrap_or(0);
        self.updated = now;
        task.state = match attempt.code {
            0 => Progress::Succeeded,
            _ if self.cancelled => Progress::Cancelled,
            _ if left => Progress::Pending,
            _ => Progress::Failed,
        };
        task.last = Some(attempt);
        if task.state == Progress::Pending {
            return true;
        }
        task.completed = Some(now);
        false
    }

    /// It could not begin: no task has run.
    pub(super) fn refuse(&mut self, message: &str, reason: &str, now: Time) {
        self.condition = Condition::failed(now, message, Some(Reason::Common(reason.to_owned())));
        (self.completed, self.updated) = (Some(now), now);
    }

    /// No task runs any more: those that have not come to an end are cancelled.
    pub(super) fn end(&mut self, now: Time) {
        if self.is_over() {
            return;
        }
        for task in &mut self.tasks {
            if matches!(task.state, Progress::Pending | Progress::Running) {
                task.state = Progress::Cancelled;
                task.completed = Some(now);
            }
        }
        let reason = |text: &str| Some(Reason::Execution(text.to_owned()));
        let failed = self.tasks.iter().enumerate();
        let mut failed = failed.filter(|(_, task)| task.state == Progress::Failed);
        self.condition = if self.cancelled {
            Condition::failed(now, "Execution was cancelled.", reason("CANCELLED"))
        } else if let Some((index, task)) = failed.next() {
            let why = task.last.as_ref().map_or("", |last| last.message.as_str());
            let message = format!("Task {} failed with message: {why}", self.task_id(index));
            Condition::failed(now, &message, reason("NON_ZERO_EXIT_CODE"))
        } else {
            Condition::succeeded(now)
        };
        (self.completed, self.updated) = (Some(now), now);
    }

    /// The sandbox that ran it has stopped, and its tasks with it.
    pub(super) fn interrupt(&mut self, now: Time) {
        if !self.is_over() {
            self.end(now);
            let text = "The sandbox was stopped while the execution ran.";
            self.condition = Condition::failed(now, text, None);
        }
    }

    fn count(&self, state: Progress) -> usize {
        let tasks = self.tasks.iter();
        tasks.filter(|task| task.state == state).count()
    }

    fn task_id(&self, index: usize) -> String {
        format!("{}-task{index}", self.id())
    }

    /// The index of a task by its id.
    pub(super) fn task_index(&self, id: &str) -> Option<usize> {
        let index = id.strip_prefix(self.id())?.strip_prefix("-task")?;
        let index = index.parse().ok()?;
        (index < self.tasks.len()).then_some(index)
    }

    pub(super) fn etag(&self) -> String {
        ids::etag(0, &[&self.uid, &self.updated.rfc3339()])
    }

    fn log_uri(&self, base: &str) -> String {
        format!("{base}/sandbox/run/executions/{}/logs", self.name)
    }

    /// The execution as the API shows it.
    pub(in super::super) fn view(&self, base: &str) -> Value {
        let mut view = json!({
            "name": self.name,
            "uid": self.uid,
            "generation": "1",
            "job": self.job.rsplit('/').next(),
            "launchStage": "GA",
            "creator": "sandbox@example.com",
            "createTime": self.created.rfc3339(),
            "updateTime": self.updated.rfc3339(),
            "observedGeneration": "1",
            "taskCount": self.tasks.len(),
            "parallelism": self.width(),
            "template": self.template["template"],
            "conditions": self.conditions(),
            "logUri": self.log_uri(base),
            "etag": self.etag(),
        });
        let retried = self.tasks.iter().filter(|task| task.retried > 0).count();
        for (name, count) in [
            ("runningCount", self.count(Progress::Running)),
            ("succeededCount", self.count(Progress::Succeeded)),
            ("failedCount", self.count(Progress::Failed)),
            ("cancelledCount", self.count(Progress::Cancelled)),
            ("retriedCount", retried),
        ] {
            if count > 0 {
                view[name] = count.into();
            }
        }
        for mark in ["labels", "annotations"] {
            if let Some(given) = self.template.get(mark) {
                view[mark] = given.clone();
            }
        }
        put_time(&mut view, "startTime", self.started);
        put_time(&mut view, "completionTime", self.completed);
        if !self.is_over() {
            view["reconciling"] = true.into();
        }
        view
    }

    fn conditions(&self) -> Vec<Value> {
        let reached = |time: Option<Time>| match time {
            Some(time) => Condition::succeeded(time),
            None if self.is_over() => self.condition.clone(),
            None => Condition::reconciling(self.created),
        };
        let created = Some(self.created);
        vec![
            self.condition.view("Completed"),
            reached(created).view("ResourcesAvailable"),
            reached(self.started).view("Started"),
            reached(self.started).view("ContainerReady"),
        ]
    }

    /// `latestCreatedExecution` of its job.
    pub(super) fn reference(&self) -> Value {
        let status = match (self.is_over(), self.failure(), self.started) {
            (true, _, _) if self.cancelled => "EXECUTION_CANCELLED",
            (true, Some(_), _) => "EXECUTION_FAILED",
            (true, None, _) => "EXECUTION_SUCCEEDED",
            (false, _, Some(_)) => "EXECUTION_RUNNING",
            (false, _, None) => "EXECUTION_PENDING",
        };
        let mut view = json!({
            "name": self.id(),
            "createTime": self.created.rfc3339(),
            "completionStatus": status,
        });
        put_time(&mut view, "completionTime", self.completed);
        view
    }

    /// What the inventory says of it.
    pub(super) fn summary(&self) -> Value {
        json!({
            "state": self.condition.state.name(),
            "taskCount": self.tasks.len(),
            "succeededCount": self.count(Progress::Succeeded),
            "failedCount": self.count(Progress::Failed),
        })
    }

    /// One of its tasks as the API shows it.
    pub(super) fn task_view(&self, index: usize, base: &str) -> Value {
        let mut view = self.template["template"].clone();
        let Some(task) = self.tasks.get(index) else {
            return view;
        };
        let more = json!({
            "name": format!("{}/tasks/{}", self.name, self.task_id(index)),
            "uid": ids::uuid(0, &["task", &self.uid, &index.to_string()]),
            "generation": "1",
            "observedGeneration": "1",
            "job": self.job.rsplit('/').next(),
            "execution": self.id(),
            "createTime": self.created.rfc3339(),
            "scheduledTime": self.created.rfc3339(),
            "updateTime": task.completed.or(task.started).unwrap_or(self.created).rfc3339(),
            "conditions": [self.task_condition(index, task).view("Completed")],
            "logUri": format!("{}?task={index}", self.log_uri(base)),
            "etag": self.etag(),
        });
        if let (Some(members), Value::Object(more)) = (view.as_object_mut(), more) {
            members.extend(more);
        }
        for (name, count) in [
            ("index", u32::try_from(index).unwrap_or(0)),
            ("retried", task.retried),
        ] {
            if count > 0 {
                view[name] = count.into();
            }
        }
        put_time(&mut view, "startTime", task.started);
        put_time(&mut view, "completionTime", task.completed);
        if let Some(last) = &task.last {
            view["lastAttemptResult"] = last.view();
        }
        if task.completed.is_none() {
            view["reconciling"] = true.into();
        }
        view
    }

    fn task_condition(&self, index: usize, task: &Task) -> Condition {
        let at = task.completed.or(task.started).unwrap_or(self.created);
        let reason = |text: &str| Some(Reason::Execution(text.to_owned()));
        match task.state {
            Progress::Pending | Progress::Running => Condition::reconciling(at),
            Progress::Succeeded => Condition::succeeded(at),
            Progress::Cancelled => {
                Condition::failed(at, "Task was cancelled.", reason("CANCELLED"))
            }
            Progress::Failed => {
                let why = task.last.as_ref().map_or("", |last| last.message.as_str());
                let message = format!("Task {} failed with message: {why}", self.task_id(index));
                Condition::failed(at, &message, reason("NON_ZERO_EXIT_CODE"))
            }
        }
    }
}

impl Attempt {
    /// `lastAttemptResult` of a task. An exit code of 0 is at its default, and so absent.
    fn view(&self) -> Value {
        let mut view = json!({"status": {}});
        if self.code != 0 {
            view["status"] = json!({"code": self.code, "message": self.message});
        }
        for (name, number) in [("exitCode", self.exit), ("termSignal", self.signal)] {
            if let Some(number) = number.filter(|number| *number != 0) {
                view[name] = number.into();
            }
        }
        view
    }
}

fn put_time(view: &mut Value, name: &str, time: Option<Time>) {
    if let Some(time) = time {
        view[name] = time.rfc3339().into();
    }
}
