//! Every word the rig says to the `weft` program, and how it reads the answers.
//!
//! The rig is a user like any other: it sees flags, JSON and files, never the product's types.
//! When the command line changes, this is the only file that changes with it.

use std::path::Path;

use serde_json::Value;

/// Port every manager answers on.
pub const CONTROL_PORT: u16 = 2377;

/// Socket of the daemon inside its run directory.
pub const SOCKET: &str = "weft.sock";

/// Tells `weft` which daemon to talk to.
pub const SOCKET_ENV: &str = "WEFT_SOCKET";

/// Asks the daemon to put all cgroups of its tasks below one of this name, so that what a host
/// leaves behind can be told apart from its neighbours on the same machine.
pub const CGROUP_PARENT_ENV: &str = "WEFT_CGROUP_PARENT";

/// Arguments of the daemon.
pub fn daemon(state: &Path, run: &Path) -> Vec<String> {
    words(&[
        "daemon",
        "--state-dir",
        &text(state),
        "--run-dir",
        &text(run),
    ])
}

/// The global option that chooses the daemon a command talks to.
pub fn socket_option(socket: &Path) -> Vec<String> {
    words(&["--socket", &text(socket)])
}

/// Makes the first manager.
pub fn init(advertise: &str) -> Vec<String> {
    words(&["cluster", "init", "--advertise-addr", advertise])
}

/// Joins through `manager`; the token decides the role.
pub fn join(token: &str, manager: &str, advertise: &str) -> Vec<String> {
    let remote = format!("{manager}:{CONTROL_PORT}");
    words(&[
        "cluster",
        "join",
        "--token",
        token,
        "--advertise-addr",
        advertise,
        &remote,
    ])
}

/// Prints the join token of `role` (`worker` or `manager`) and nothing else.
pub fn join_token(role: &str) -> Vec<String> {
    words(&["cluster", "join-token", role, "-q"])
}

/// Lists nodes for programs.
pub fn node_ls() -> Vec<String> {
    words(&["node", "ls", "--format", "json"])
}

/// Lists services for programs.
pub fn service_ls() -> Vec<String> {
    words(&["service", "ls", "--format", "json"])
}

/// Lists a service's tasks for programs.
pub fn service_ps(service: &str) -> Vec<String> {
    words(&["service", "ps", service, "--format", "json"])
}

/// Removes a service.
pub fn service_rm(service: &str) -> Vec<String> {
    words(&["service", "rm", service])
}

/// Makes an overlay network.
pub fn network_create(name: &str) -> Vec<String> {
    words(&["network", "create", name])
}

/// A service as the rig asks for it.
#[derive(Debug, Clone)]
pub struct ServiceOrder {
    /// Name, also its DNS name.
    pub name: &'static str,
    /// Number of tasks.
    pub replicas: u32,
    /// Overlay network it joins.
    pub network: &'static str,
    /// `PUBLISHED:TARGET`, or nothing.
    pub publish: Option<&'static str>,
    /// Command line of one task.
    pub command: Vec<String>,
}

/// Creates a service of the process runtime.
pub fn service_create(order: &ServiceOrder) -> Vec<String> {
    let replicas = order.replicas.to_string();
    let mut args = words(&[
        "service",
        "create",
        "--name",
        order.name,
        "--replicas",
        &replicas,
    ]);
    args.extend(words(&["--network", order.network, "--runtime", "process"]));
    if let Some(publish) = order.publish {
        args.extend(words(&["--publish", publish]));
    }
    args.push("--".to_owned());
    args.extend(order.command.iter().cloned());
    args
}

/// How many tasks of a `service ps` answer run. Takes an array of tasks, or an object holding
/// one; a task runs when its `state` (or `current_state`) says so.
pub fn running_tasks(answer: &Value) -> usize {
    rows(answer).iter().filter(|task| is_running(task)).count()
}

/// Id of the running task called `name` (`redis.1`, or longer with the id appended) in a
/// `service ps` answer.
pub fn task_id(answer: &Value, name: &str) -> Option<String> {
    let called = |task: &&Value| {
        let full = word(task, &["name"]);
        full == name
            || full
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let task = rows(answer)
        .iter()
        .filter(|task| is_running(task))
        .find(called)?;
    Some(word(task, &["id", "task_id"]).to_owned()).filter(|id| !id.is_empty())
}

/// File in a task's directory (named after the task's id, somewhere in the daemon's state or run
/// directory) that says which process runs its command.
pub const TASK_RECORD: &str = "running.json";

/// The process in a [`TASK_RECORD`], by its number on the machine.
pub fn task_pid(record: &Value) -> Option<i32> {
    let pid = record
        .pointer("/process/pid")
        .or_else(|| record.get("pid"))?;
    i32::try_from(pid.as_i64()?).ok()
}

/// How many nodes a `node ls` answer calls ready.
pub fn ready_nodes(answer: &Value) -> usize {
    let ready = |node: &&Value| word(node, &["status", "state"]).eq_ignore_ascii_case("ready");
    rows(answer).iter().filter(ready).count()
}

/// Name of the node that a `node ls` answer calls the leader.
pub fn leader(answer: &Value) -> Option<String> {
    let leads = |node: &&Value| word(node, &["manager"]).eq_ignore_ascii_case("leader");
    let leader = rows(answer).iter().find(leads)?;
    Some(word(leader, &["hostname"]).to_owned())
}

/// The rows of a list answer: an array, or the first array inside an object.
pub fn rows(answer: &Value) -> &[Value] {
    if let Some(rows) = answer.as_array() {
        return rows;
    }
    let inner = answer
        .as_object()
        .and_then(|o| o.values().find_map(Value::as_array));
    inner.map_or(&[], Vec::as_slice)
}

/// The first of `keys` that is a string in `row`; empty when none is.
pub fn word<'a>(row: &'a Value, keys: &[&str]) -> &'a str {
    keys.iter()
        .find_map(|key| row.get(key)?.as_str())
        .unwrap_or("")
}

fn is_running(task: &Value) -> bool {
    let state = word(task, &["state", "current_state", "status"]).to_ascii_lowercase();
    state == "running" || state.starts_with("running ")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_of_a_service_follows_a_double_dash() {
        let order = ServiceOrder {
            name: "web",
            replicas: 3,
            network: "demo",
            publish: Some("8080:80"),
            command: words(&["nginx", "-g", "daemon off;"]),
        };
        let line = service_create(&order).join(" ");
        assert_eq!(
            line,
            "service create --name web --replicas 3 --network demo --runtime process \
             --publish 8080:80 -- nginx -g daemon off;"
        );
    }

    #[test]
    fn running_tasks_are_counted_in_arrays_and_in_objects() {
        let list = json!([{"name": "a.1", "state": "running", "pid": 7}, {"state": "failed"}]);
        assert_eq!(running_tasks(&list), 1);
        assert_eq!(running_tasks(&json!({"tasks": list.clone()})), 1);
        assert_eq!(running_tasks(&json!({})), 0);
    }

    #[test]
    fn a_task_is_found_by_its_short_name_among_those_that_run() {
        let tasks = json!([
            {"name": "redis.1", "id": "old", "state": "failed"},
            {"name": "redis.1.new", "id": "new", "state": "running"},
            {"name": "redis.10", "id": "ten", "state": "running"},
        ]);
        assert_eq!(task_id(&tasks, "redis.1").as_deref(), Some("new"));
        assert_eq!(task_pid(&json!({"process": {"pid": 7}})), Some(7));
        assert_eq!(task_pid(&json!({})), None);
    }

    #[test]
    fn only_ready_nodes_count() {
        let nodes = json!([{"status": "Ready"}, {"status": "Down"}, {"state": "ready"}]);
        assert_eq!(ready_nodes(&nodes), 2);
    }
}
