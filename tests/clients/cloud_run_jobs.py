"""A Cloud Run job from create to delete, as Google's own client sees it: cloud_run_jobs.py URL."""

import json
import sys
import urllib.request

from google_client import client, refused

URL = sys.argv[1]
PARENT = "projects/acme-ml/locations/us-central1"
NAME = f"{PARENT}/jobs/copy"
TYPE = "type.googleapis.com/google.cloud.run.v2."
# The first attempt of task 1 fails.
SCRIPT = 'echo "task $CLOUD_RUN_TASK_INDEX"; test "$CLOUD_RUN_TASK_INDEX$CLOUD_RUN_TASK_ATTEMPT" != 10'

locations = client("run", "v2", URL).projects().locations()
jobs = locations.jobs()
executions = jobs.executions()
tasks = executions.tasks()
operations = locations.operations()


def job(image="us-docker.pkg.dev/acme-ml/tools/shell:1", retries=1):
    container = {"image": image, "args": ["-c", SCRIPT], "env": [{"name": "COLOR", "value": "red"}]}
    return {
        "labels": {"team": "search"},
        "template": {
            "taskCount": 3,
            "parallelism": 2,
            "template": {"containers": [container], "maxRetries": retries, "timeout": "60s"},
        },
    }


def done(operation):
    """Waits for a long-running operation as the library's users do."""
    for _ in range(20):
        if operation.get("done"):
            break
        operation = operations.wait(name=operation["name"], body={"timeout": "5s"}).execute()
    assert operation["done"] is True, operation
    assert operations.get(name=operation["name"]).execute() == operation
    return operation


def response(operation, message):
    operation = done(operation)
    assert "error" not in operation, operation
    assert operation["response"]["@type"] == TYPE + message, operation
    return operation["response"]


# Create: a dry run leaves nothing; an image that cannot be had is said so.
jobs.create(parent=PARENT, jobId="copy", body=job(), validateOnly=True).execute()
refused(jobs.get(name=NAME), 404, "NOT_FOUND")
failed = done(jobs.create(parent=PARENT, jobId="lost", body=job("docker.io/acme/nothing")).execute())
assert failed["error"]["message"] == "Image 'docker.io/acme/nothing' not found.", failed
lost = jobs.get(name=f"{PARENT}/jobs/lost").execute()
assert lost["terminalCondition"]["reason"] == "CONTAINER_MISSING", lost
response(jobs.delete(name=lost["name"]).execute(), "Job")

response(jobs.create(parent=PARENT, jobId="copy", body=job()).execute(), "Job")
live = jobs.get(name=NAME).execute()
assert live["name"] == NAME and live["labels"] == {"team": "search"}, live
assert live["terminalCondition"]["state"] == "CONDITION_SUCCEEDED", live
assert live["observedGeneration"] == live["generation"] == "1", live
task = live["template"]["template"]
assert (task["maxRetries"], task["timeout"]) == (1, "60s") and task["serviceAccount"], task
refused(jobs.create(parent=PARENT, jobId="copy", body=job()), 409, "ALREADY_EXISTS")
misspelt = job()
misspelt["template"]["tasks"] = 3
message = refused(jobs.create(parent=PARENT, jobId="other", body=misspelt), 400, "INVALID_ARGUMENT")
assert "Unknown name \"tasks\" at 'job.template'" in message, message
assert [each["name"] for each in jobs.list(parent=PARENT).execute()["jobs"]] == [NAME]
stranger = client("run", "v2", URL, anonymous=True)
refused(stranger.projects().locations().jobs().run(name=NAME, body={}), 401, "UNAUTHENTICATED")

# Run: the failed task alone is tried again.
run = jobs.run(name=NAME, body={}).execute()
assert run["metadata"]["@type"] == TYPE + "Execution", run
execution = response(run, "Execution")
assert (execution["taskCount"], execution["parallelism"], execution["succeededCount"]) == (3, 2, 3), execution
assert execution["retriedCount"] == 1 and "failedCount" not in execution, execution
assert execution["completionTime"] and execution["startTime"], execution
completed = [each for each in execution["conditions"] if each["type"] == "Completed"]
assert completed[0]["state"] == "CONDITION_SUCCEEDED", execution
assert executions.get(name=execution["name"]).execute()["uid"] == execution["uid"]
latest = jobs.get(name=NAME).execute()["latestCreatedExecution"]
assert execution["name"] == f"{NAME}/executions/{latest['name']}", latest
assert latest["completionStatus"] == "EXECUTION_SUCCEEDED", latest
page = tasks.list(parent=execution["name"], pageSize=2).execute()
rest = tasks.list_next(tasks.list(parent=execution["name"], pageSize=2), page).execute()
seen = page["tasks"] + rest["tasks"]
# Members at 0 are absent, as in all of protobuf's JSON.
assert [(each.get("index", 0), each.get("retried", 0)) for each in seen] == [(0, 0), (1, 1), (2, 0)], seen
assert tasks.get(name=seen[1]["name"]).execute() == seen[1]
assert seen[1]["lastAttemptResult"].get("exitCode", 0) == 0, seen[1]
with urllib.request.urlopen(execution["logUri"]) as answer:
    output = [(each["task"], each["output"]) for each in json.load(answer)]
assert sorted(output) == [(0, "task 0\n"), (1, "task 1\n"), (1, "task 1\n"), (2, "task 2\n")], output

# Overrides are for one run; a task that has no tries left fails it, by an error of the operation.
overrides = {"taskCount": 1, "containerOverrides": [{"args": ["-c", "exit 7"]}]}
failed = done(jobs.run(name=NAME, body={"overrides": overrides}).execute())
assert "The container exited with an error." in failed["error"]["message"], failed
second = executions.get(name=failed["metadata"]["name"]).execute()
assert (second["failedCount"], second["taskCount"]) == (1, 1), second
task = tasks.list(parent=second["name"]).execute()["tasks"][0]
assert task["lastAttemptResult"]["exitCode"] == 7 and task["retried"] == 1, task
assert task["lastAttemptResult"]["status"]["code"], task

# Cancel: what runs is killed, and the operation of the run is no error.
overrides = {"containerOverrides": [{"args": ["-c", "sleep 600"]}]}
running = jobs.run(name=NAME, body={"overrides": overrides}).execute()
third = running["metadata"]["name"]
response(executions.cancel(name=third, body={}).execute(), "Execution")
assert response(running, "Execution")["cancelledCount"] == 3
refused(executions.cancel(name=third, body={}), 400, "FAILED_PRECONDITION")
listed = executions.list(parent=NAME).execute()["executions"]
assert {each["name"] for each in listed} == {execution["name"], second["name"], third}, listed
response(executions.delete(name=third).execute(), "Execution")
refused(executions.get(name=third), 404, "NOT_FOUND")

# Update: a stale etag is refused.
live = jobs.get(name=NAME).execute()
refused(jobs.patch(name=NAME, body={**job(), "etag": '"stale"'}), 409, "ABORTED")
response(jobs.patch(name=NAME, body={**job(retries=0), "etag": live["etag"]}).execute(), "Job")
updated = jobs.get(name=NAME).execute()
assert updated["observedGeneration"] == "2" and updated["uid"] == live["uid"], updated
assert updated["template"]["template"]["maxRetries"] == 0, updated
assert updated["executionCount"] == 3, updated

policy = jobs.getIamPolicy(resource=NAME).execute()
policy["bindings"] = [{"role": "roles/run.invoker", "members": ["user:ann@example.com"]}]
jobs.setIamPolicy(resource=NAME, body={"policy": policy}).execute()
assert jobs.getIamPolicy(resource=NAME).execute()["bindings"] == policy["bindings"]
wanted = {"permissions": ["run.jobs.run"]}
assert jobs.testIamPermissions(resource=NAME, body=wanted).execute() == wanted

response(jobs.delete(name=NAME).execute(), "Job")
refused(jobs.get(name=NAME), 404, "NOT_FOUND")
refused(executions.get(name=second["name"]), 404, "NOT_FOUND")
