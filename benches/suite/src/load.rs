//! Load generators: wrk for HTTP, pgbench for PostgreSQL.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::processes::{Process, cpu_with_children};
use crate::statements::Scripts;

/// pgbench connects anew for each run, and PostgreSQL plans each prepared statement of a connection
/// anew for the first five executions, which takes half of its speed. The server keeps its connections
/// and is past that, so pgbench is measured from here on.
const PGBENCH_WARM_UP: Duration = Duration::from_secs(4);
/// Timeout of a response.
const RESPONSE_TIMEOUT_SECONDS: u64 = 10;

/// Measurements of one side in one round.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    pub per_second: f64,
    /// Latency percentiles in milliseconds.
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// Microseconds of CPU for each request, of the process itself and of PostgreSQL.
    pub own_cpu: f64,
    pub postgres_cpu: f64,
}

#[expect(clippy::disallowed_methods, reason = "the suite has nothing else to do")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// A wrk script with prepared requests.
pub struct Script(PathBuf);

impl Script {
    /// Writes the script. Requests are prepared, so that wrk uses little CPU: it sends them in turn and only
    /// counts the statuses of the responses.
    pub fn write(bench: &Bench, requests: &[Request]) -> Outcome<Self> {
        let mut script = "local ready, next = {}, 0\nfunction init()\n".to_owned();
        for (request, number) in requests.iter().zip(1..) {
            let (method, target) = (quoted(request.method), quoted(&request.target));
            let _ = writeln!(script, "ready[{number}] = wrk.format({method}, {target}, {{");
            for (name, value) in request.headers() {
                let _ = writeln!(script, "[{}] = {},", quoted(name), quoted(&value));
            }
            let body = request.body.as_deref().map_or("nil".to_owned(), quoted);
            let _ = writeln!(script, "}}, {body})");
        }
        script += "end
function request()
    next = next % #ready + 1
    return ready[next]
end
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('RESULT %d %d %d %d %d %d\\n', summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
";
        let file = bench.new_file("lua");
        std::fs::write(&file, script)?;
        Ok(Self(file))
    }
}

fn quoted(text: &str) -> String {
    // A JSON string is a Lua string where it has no escapes but these.
    let text = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
    format!("'{text}'")
}

/// Sends the requests for that number of seconds.
pub fn wrk(
    bench: &Bench,
    process: &Process,
    script: &Script,
    connections: u32,
    seconds: u64,
) -> Outcome<Run> {
    let postmaster = bench.postmaster()?;
    let (own, postgres) = (process.cpu()?, cpu_with_children(postmaster)?);
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &connections.to_string(), "-d", &format!("{seconds}s")])
        .args(["--timeout", &format!("{RESPONSE_TIMEOUT_SECONDS}s"), "-s"])
        .arg(&script.0)
        .arg(format!("http://{}", process.address))
        .output()?;
    let (own, postgres) = (process.cpu()? - own, cpu_with_children(postmaster)? - postgres);
    let output = text_of(&output, "wrk")?;
    let result = output.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers: Vec<f64> =
        result.ok_or("wrk has no result")?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, duration, errors, p50, p95, p99] = numbers[..] else {
        return Err(format!("wrk says {numbers:?}").into());
    };
    if errors > 0.0 || requests < 1.0 {
        return Err(format!("{errors} of {requests} requests failed\n{output}").into());
    }
    Ok(Run {
        per_second: requests / duration * 1e6,
        p50: p50 / 1e3,
        p95: p95 / 1e3,
        p99: p99 / 1e3,
        own_cpu: own / requests,
        postgres_cpu: postgres / requests,
    })
}

/// Sends the scripts' statements for that number of seconds after a warm-up: a transaction is a request.
pub fn pgbench(
    bench: &Bench,
    database: Database,
    scripts: &Scripts,
    connections: u32,
    seconds: u64,
) -> Outcome<Run> {
    let postmaster = bench.postmaster()?;
    let log = bench.new_file("log");
    let mut command = Command::new(bench.arguments.pg_bin.join("pgbench"));
    command
        .args(["-h", "127.0.0.1", "-U", "postgres", "-M", "prepared", "-n", "-j", "1", "-l"])
        .args(["-p", &bench.arguments.port.to_string(), "-c", &connections.to_string()])
        .args(["-T", &(seconds + PGBENCH_WARM_UP.as_secs()).to_string()])
        .arg(format!("--log-prefix={}", log.display()));
    for file in &scripts.files {
        command.arg("-f").arg(file);
    }
    for (name, value) in &scripts.variables {
        command.arg("-D").arg(format!("{name}={value}"));
    }
    command.arg(database.name());
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let running = command.spawn()?;
    let log = PathBuf::from(format!("{}.{}", log.display(), running.id()));
    pause(PGBENCH_WARM_UP);
    let (begin, postgres) = (now(), cpu_with_children(postmaster)?);
    pause(Duration::from_secs(seconds).saturating_sub(STOP_EARLY));
    let (end, postgres) = (now(), cpu_with_children(postmaster)? - postgres);
    text_of(&running.wait_with_output()?, "pgbench")?;
    let mut took = times(&log, begin, end)?;
    std::fs::remove_file(&log)?;
    took.sort_unstable_by(f64::total_cmp);
    let last = took.len().checked_sub(1).ok_or("pgbench did nothing")?;
    let percentile = |percent: usize| took[last * percent / 100] / 1e3;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let transactions = took.len() as f64;
    Ok(Run {
        per_second: transactions / (end - begin),
        p50: percentile(50),
        p95: percentile(95),
        p99: percentile(99),
        own_cpu: 0.0,
        postgres_cpu: postgres / transactions,
    })
}

/// Time before pgbench's end that is not measured.
const STOP_EARLY: Duration = Duration::from_millis(100);

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Microseconds of each transaction that ended between these times.
fn times(log: &Path, begin: f64, end: f64) -> Outcome<Vec<f64>> {
    let mut took = Vec::new();
    for line in std::fs::read_to_string(log)?.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_client, _number, time, _script, seconds, microseconds, ..] = fields[..] else {
            return Err(format!("pgbench logs {line:?}").into());
        };
        let at = seconds.parse::<f64>()? + microseconds.parse::<f64>()? / 1e6;
        if begin <= at && at < end {
            took.push(time.parse()?);
        }
    }
    Ok(took)
}

fn text_of(output: &Output, program: &str) -> Outcome<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {text}{errors}").into());
    }
    Ok(text)
}
