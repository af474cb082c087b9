//! A process that has a part of a model: [`run`] and [`run_part`].
//!
//! `runabout rank` learns from its first message who the others are. MLX takes that from environment variables and from
//! files, so the process writes the files, and then becomes `runabout rank-part`, with the variables set.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use runabout_mlx::{Group, LoadOptions};
use runabout_ranks::{Hosts, Post, Ready, Setup, Transport, introduce, read_setup};
use runabout_store::ModelRef;

use crate::cli::{RankArgs, RankPartArgs};
use crate::loading;
use crate::memory;
use crate::output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `runabout rank`: waits for the first message, and becomes what it says.
pub(crate) fn run(args: &RankArgs) -> Result<i32> {
    let (setup, connection) = if let (Some(hosts), Some(rank)) = (&args.hosts, args.rank) {
        let hosts = Hosts::read(hosts)?;
        let mut stream = introduce(&hosts, rank.into(), VERSION).context("cannot meet rank 0")?;
        (read_setup(&mut stream).context("rank 0 does not want this rank")?, Some(OwnedFd::from(stream)))
    } else {
        // Not buffered, since what follows is for the next program.
        let mut input = fs::File::from(rustix::io::dup(rustix::stdio::stdin())?);
        (read_setup(&mut input).context("the first message is none to a rank")?, None)
    };
    anyhow::ensure!(
        setup.version == VERSION,
        "this is version {VERSION} of runabout, and rank 0 has version {}",
        setup.version
    );
    Err(become_part(&setup, connection)?).context("cannot start again as a part of the model")
}

/// Replaces this program; returns only if that fails.
fn become_part(setup: &Setup, connection: Option<OwnedFd>) -> Result<io::Error> {
    let mut command = Command::new(env::current_exe().context("cannot find the program")?);
    command.arg("rank-part").arg(format!("--transport={}", setup.transport.name())).args(&setup.arguments);
    command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    for (name, content) in &setup.files {
        let mut file = tempfile::Builder::new().prefix("runabout-rank-").tempfile()?;
        file.write_all(content.as_bytes())?;
        // The next program removes it, when it has been read.
        command.env(name, file.into_temp_path().keep()?);
    }
    let files: Vec<&str> = setup.files.iter().map(|it| it.0.as_str()).collect();
    command.env(FILES, files.join(","));
    if let Some(connection) = connection {
        command.stdin(Stdio::from(connection.try_clone()?)).stdout(Stdio::from(connection));
    }
    Ok(command.exec())
}

/// Names the variables that name files to remove.
const FILES: &str = "RUNABOUT_RANK_FILES";

/// `runabout rank-part`: has a part of a model, and does with it what comes on stdin, until its end.
pub(crate) fn run_part(args: &RankPartArgs) -> Result<i32> {
    let output = output::take_stdout().context("cannot take stdout")?;
    let input = fs::File::from(rustix::io::dup(rustix::stdio::stdin())?);
    // Whatever MLX waits for, without rank 0 it waits in vain.
    let post = Post::open(input, output, || runabout_mlx::exit(0)).context("cannot read commands")?;
    if let Err(error) = take_part(&post, args) {
        post.failed(format!("{error:#}"))?;
        return Ok(1);
    }
    Ok(0)
}

fn take_part(post: &Post, args: &RankPartArgs) -> Result<()> {
    let group = join(args.transport);
    for name in env::var(FILES).unwrap_or_default().split(',').filter(|it| !it.is_empty()) {
        // It is in a folder for temporary files.
        let _ = env::var_os(name).map(fs::remove_file);
    }
    let group = group?;
    post.joined()?;
    let reference: ModelRef = args.model.model.parse()?;
    let folder = loading::resolve(&reference, args.model.offline, &mut |_| {})?.path;
    let options = LoadOptions::from(&args.model);
    let n_bytes = memory::weights_bytes(&folder)?;
    let limit = args.model.memory_limit_bytes().or_else(memory::default_limit_bytes);
    memory::check_weights(n_bytes / u64::from(group.size().unsigned_abs()), limit)?;
    let config = fs::read(folder.join("config.json"))?;
    let adapter = options.adapter.as_deref().map_or(Ok(0), memory::weights_bytes)?;
    let mut report = |done, total| {
        // If it cannot be sent, the process ends soon.
        let _ = post.loading(done, total);
    };
    let mut model = runabout_mlx::load_part(&folder, &options, group, &mut report)?;
    let ready = Ready {
        description: runabout_engine::LanguageModel::description(&model).clone(),
        identity: identity(&config, n_bytes, adapter),
    };
    Ok(post.obey(ready, &mut model)?)
}

fn join(transport: Transport) -> Result<Group> {
    let transport = match transport {
        Transport::Ring => runabout_mlx::Transport::Ring,
        Transport::Jaccl => runabout_mlx::Transport::Jaccl,
        Transport::Nccl => runabout_mlx::Transport::Nccl,
    };
    Ok(Group::join(transport)?)
}

/// Tells models apart, whatever their folders are called.
fn identity(config: &[u8], n_bytes: u64, n_adapter_bytes: u64) -> String {
    let config = crc32fast::hash(config);
    format!("config.json {config:08x}, {n_bytes} bytes of weights, {n_adapter_bytes} of an adapter")
}
