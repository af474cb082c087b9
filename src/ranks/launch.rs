//! Starts the ranks, here and on other machines, and waits until they have the model: [`launch()`].

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use crate::frames;
use crate::hosts::{Host, Hosts};
use crate::link::Links;
use crate::message::{Introduction, Ready, Report, Setup, Welcome};
use crate::model::RankedModel;

/// How long ranks that are started by hand may take to come.
const BY_HAND: Duration = Duration::from_mins(10);
/// How long all ranks may take to connect with each other. MLX itself tries for half a minute.
const JOINING: Duration = Duration::from_mins(1);
/// How often a connection is tried or looked for.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long whoever connects may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// A connection on which nothing comes is tested after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the ranks are started with.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// The program whose `rank` command is a rank.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
    /// The options of the model, as on a command line.
    pub arguments: Vec<String>,
}

/// Why there is no model in several processes.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot start rank {rank} ({name}): {error}")]
    Start { rank: usize, name: String, error: io::Error },
    #[error("cannot wait for ranks at {place}: {error}\nhint: the first host must be this machine")]
    Listen { place: String, error: io::Error },
    #[error(
        "{ranks} did not come within {} minutes\nhint: start it there with `runabout rank --hosts FILE --rank N`, with the same file",
        BY_HAND.as_secs() / 60
    )]
    Missing { ranks: String },
    #[error(
        "{ranks} could not be connected with the others within {} seconds\nhint: each machine must reach the addresses in the hosts file, at ports from {port} on",
        JOINING.as_secs()
    )]
    NotJoined { ranks: String, port: u16 },
    #[error("{0}")]
    Ended(String),
    #[error("{name} failed: {message}")]
    Failed { name: String, message: String },
    #[error("{name} has another model than rank 0: {got}, and not {expected}")]
    OtherModel { name: String, got: String, expected: String },
}

/// Starts all ranks and waits until they have the model. Calls `progress` with the bytes that rank 0 has read so far and in
/// total.
pub fn launch(
    hosts: &Hosts,
    options: &LaunchOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RankedModel, LaunchError> {
    let mut links = Links::new();
    let mut by_hand = meet(hosts, options)?;
    for (rank, host) in hosts.hosts.iter().enumerate() {
        let started = match by_hand.iter().position(|it| it.0 == rank) {
            Some(idx) => add_stream(&mut links, host, by_hand.swap_remove(idx).1),
            None => start(&mut links, rank, host, options),
        };
        let setup = started.and_then(|()| {
            let (environment, files) = hosts.environment_of(rank);
            let setup = Setup {
                version: options.version.clone(),
                rank,
                n_ranks: hosts.hosts.len(),
                transport: hosts.transport,
                environment,
                files,
                arguments: options.arguments.clone(),
            };
            links.send(rank, &frames::encode_json(&Welcome::Setup(Box::new(setup)))?)
        });
        setup.map_err(|error| LaunchError::Start { rank, name: host.name().to_owned(), error })?;
    }
    let ready = wait(&mut links, hosts.port, progress)?;
    Ok(RankedModel::new(links, ready))
}

/// Connects a rank that is started by hand to the process that leads, as soon as that one is there. What comes then is
/// the [`Setup`].
pub fn introduce(hosts: &Hosts, rank: usize, version: &str) -> io::Result<TcpStream> {
    let place = hosts.meeting_place();
    let mut stream = loop {
        match TcpStream::connect(place) {
            Ok(stream) => break stream,
            // Also right after its machine was started, or before its network is there.
            Err(error) => tracing::debug!(%error, ?place, "rank 0 is not there yet"),
        }
        thread::sleep(INTERVAL);
    };
    prepare(&stream)?;
    let introduction = Introduction { version: version.to_owned(), rank, hosts: hosts.text.clone() };
    frames::write(&mut stream, &frames::encode_json(&introduction)?)?;
    Ok(stream)
}

/// Waits for all ranks that are started by hand.
fn meet(hosts: &Hosts, options: &LaunchOptions) -> Result<Vec<(usize, TcpStream)>, LaunchError> {
    // Rank 0 is started here in any case.
    let mut missing: Vec<usize> =
        (1..hosts.hosts.len()).filter(|it| hosts.hosts[*it].ssh.is_none()).collect();
    let mut met = Vec::new();
    if missing.is_empty() {
        return Ok(met);
    }
    let place = hosts.meeting_place();
    let cannot = |error| LaunchError::Listen { place: format!("{}:{}", place.0, place.1), error };
    let listener = TcpListener::bind(place).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    for rank in &missing {
        // Nothing is wrong, but whoever must start it should see this.
        tracing::warn!(
            "waiting for rank {rank}: `runabout rank --hosts FILE --rank {rank}` on {}",
            hosts.hosts[*rank].name()
        );
    }
    let deadline = Instant::now() + BY_HAND;
    while !missing.is_empty() {
        match listener.accept() {
            Ok((stream, address)) => match welcome(stream, hosts, options, &missing) {
                Ok((rank, stream)) => {
                    missing.retain(|it| *it != rank);
                    met.push((rank, stream));
                }
                Err(error) => tracing::warn!(%error, %address, "whoever connected is no rank"),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(INTERVAL),
            Err(error) => return Err(cannot(error)),
        }
        if Instant::now() > deadline {
            return Err(LaunchError::Missing { ranks: listed(&missing) });
        }
    }
    Ok(met)
}

/// Finds out which of the `missing` ranks has connected, or refuses it.
fn welcome(
    mut stream: TcpStream,
    hosts: &Hosts,
    options: &LaunchOptions,
    missing: &[usize],
) -> io::Result<(usize, TcpStream)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(INTRODUCTION))?;
    prepare(&stream)?;
    let Introduction { version, rank, hosts: text } = frames::read_json(&mut stream)?;
    stream.set_read_timeout(None)?;
    let refusal = if version != options.version {
        Some(format!("this is version {version} of runabout, and rank 0 has version {}", options.version))
    } else if text != hosts.text {
        Some("the hosts files differ".to_owned())
    } else if missing.contains(&rank) {
        None
    } else {
        Some(format!("rank {rank} is not waited for"))
    };
    let Some(why) = refusal else { return Ok((rank, stream)) };
    frames::write(&mut stream, &frames::encode_json(&Welcome::Refused(why.clone()))?)?;
    Err(io::Error::other(why))
}

/// Small messages go at once, and a machine that is gone is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    Ok(())
}

fn add_stream(links: &mut Links, host: &Host, stream: TcpStream) -> io::Result<()> {
    links.add(host.name(), None, stream.try_clone()?, stream)
}

fn start(links: &mut Links, rank: usize, host: &Host, options: &LaunchOptions) -> io::Result<()> {
    let mut command = match &host.ssh {
        Some(name) if rank > 0 && !host.is_this_machine() => ssh(name, host, options),
        _ => {
            let mut command = Command::new(&options.program);
            command.arg("rank");
            command
        }
    };
    // What it logs goes to this process's log. Ctrl-C at a terminal is for this process only: a rank ends when its input does.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("it has no pipes"));
    };
    links.add(host.name(), Some(child), output, input)
}

/// Starts a rank by ssh, which must ask for nothing.
fn ssh(name: &str, host: &Host, options: &LaunchOptions) -> Command {
    // As mlx.launch does with Python: the same path as here. A shell that ssh starts often has a short PATH.
    let here = options.program.to_string_lossy();
    let path = quoted(host.program.as_deref().unwrap_or(&here));
    let remote = match &host.program {
        Some(_) => format!("exec {path} rank"),
        None => format!("if [ -x {path} ]; then exec {path} rank; else exec runabout rank; fi"),
    };
    let mut command = Command::new("ssh");
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
    command.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2", "--"]);
    command.arg(name).arg(format!("exec sh -c {}", quoted(&remote)));
    command
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Waits until all ranks are connected and have their parts of the model.
fn wait(links: &mut Links, port: u16, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<Ready>, LaunchError> {
    let n = links.len();
    let mut joined = vec![false; n];
    let mut ready: Vec<Option<Ready>> = vec![None; n];
    let deadline = Instant::now() + JOINING;
    while ready.iter().any(Option::is_none) {
        // Reading the weights may take any time.
        let all_joined = joined.iter().all(|it| *it);
        let patience =
            if all_joined { Duration::MAX } else { deadline.saturating_duration_since(Instant::now()) };
        let Some((rank, heard)) = links.next(patience) else {
            let late: Vec<usize> = (0..n).filter(|it| !joined[*it]).collect();
            return Err(LaunchError::NotJoined { ranks: listed(&late), port });
        };
        match heard {
            Ok(Report::Joined) => joined[rank] = true,
            Ok(Report::Loading { done, total }) if rank == 0 => progress(done, total),
            Ok(Report::Ready(it)) => ready[rank] = Some(*it),
            Ok(Report::Failed(message)) => {
                return Err(LaunchError::Failed { name: links.name(rank), message });
            }
            Ok(Report::Loading { .. } | Report::Reply(_) | Report::Pong) => {}
            Err(error) => return Err(LaunchError::Ended(links.end_of(rank, &error))),
        }
    }
    let ready: Vec<Ready> = ready.into_iter().flatten().collect();
    if let Some(rank) = ready.iter().position(|it| it.identity != ready[0].identity) {
        let (got, expected) = (ready[rank].identity.clone(), ready[0].identity.clone());
        return Err(LaunchError::OtherModel { name: links.name(rank), got, expected });
    }
    Ok(ready)
}

fn listed(ranks: &[usize]) -> String {
    let ranks: Vec<_> = ranks.iter().map(|it| format!("rank {it}")).collect();
    ranks.join(" and ")
}
