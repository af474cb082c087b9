//! The file that says where the ranks run: [`Hosts`], in the forms that MLX has for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The first port of the ring, as in `mlx.launch`.
const FIRST_PORT: u16 = 32_323;

/// Where the ranks run, in their order. Rank 0 runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub transport: Transport,
    /// Variables for each rank's environment.
    pub environment: Vec<(String, String)>,
    /// The ranks connect at this port and those that follow it. Ranks that are started by hand come to the one before.
    pub port: u16,
    pub hosts: Vec<Host>,
    /// The file as it is.
    pub text: String,
}

/// Where one rank runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// How ssh reaches the machine; `None` if the rank is started by hand. `127.0.0.1` and `localhost` are this machine.
    pub ssh: Option<String>,
    /// The machine's addresses for the other ranks, each an IP address or a name.
    pub ips: Vec<String>,
    /// The devices by which it reaches each rank by RDMA.
    rdma: serde_json::Value,
    /// The program on that machine; `None` is the same path as here, or what is found by its name.
    pub program: Option<String>,
}

/// How the ranks exchange what they compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, each with its two neighbours.
    #[default]
    Ring,
    /// RDMA over Thunderbolt.
    Jaccl,
    /// NVIDIA's library.
    Nccl,
}

impl Transport {
    /// As MLX calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Jaccl => "jaccl",
            Self::Nccl => "nccl",
        }
    }
}

/// Why a file with hosts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    #[error("cannot read the hosts in `{}`: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error(
        "cannot read the hosts in `{}`: {message}\nhint: as for mlx.launch, it is a list like [{{\"ssh\": \"127.0.0.1\", \"ips\": [\"10.0.0.1\"]}}, {{\"ssh\": \"other.local\", \"ips\": [\"10.0.0.2\"]}}]",
        path.display()
    )]
    Invalid { path: PathBuf, message: String },
}

/// The file of `mlx.launch`, or the one that it makes for a ring.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Launch(Launch),
    Hosts(Vec<LaunchHost>),
    /// For each rank, its addresses with their ports.
    Ring(Vec<Vec<String>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    #[serde(default)]
    backend: Backend,
    #[serde(default)]
    envs: Vec<String>,
    /// Not in MLX's own file, where it is an option of the launcher.
    port: Option<u16>,
    hosts: Vec<LaunchHost>,
}

/// Empty in a file that does not say.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    #[default]
    #[serde(alias = "", alias = "any")]
    Ring,
    Jaccl,
    Nccl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchHost {
    ssh: Option<String>,
    #[serde(default)]
    ips: Vec<String>,
    #[serde(default)]
    rdma: serde_json::Value,
    /// Not in MLX's own file.
    runabout: Option<String>,
}

impl Hosts {
    pub fn read(path: &Path) -> Result<Self, HostsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| HostsError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(text).map_err(|message| HostsError::Invalid { path: path.to_owned(), message })
    }

    /// Fails with what is wrong.
    fn parse(text: String) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|it| it.to_string())?;
        // An untagged enum has no message that says what is wrong.
        let fault = match &value {
            serde_json::Value::Object(_) => Launch::deserialize(&value).err(),
            serde_json::Value::Array(all) if all.iter().any(serde_json::Value::is_object) => {
                Vec::<LaunchHost>::deserialize(&value).err()
            }
            _ => Vec::<Vec<String>>::deserialize(&value).err(),
        };
        if let Some(fault) = fault {
            return Err(fault.to_string());
        }
        let (launch, ring_port) = match File::deserialize(&value).map_err(|it| it.to_string())? {
            File::Launch(launch) => (launch, None),
            File::Hosts(hosts) => {
                (Launch { backend: Backend::Ring, envs: Vec::new(), port: None, hosts }, None)
            }
            File::Ring(ring) => {
                let (hosts, port) = of_ring(&ring)?;
                (Launch { backend: Backend::Ring, envs: Vec::new(), port: None, hosts }, Some(port))
            }
        };
        let variable = |it: &String| {
            let (name, value) = it.split_once('=').ok_or_else(|| format!("`{it}` in `envs` has no `=`"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let environment = launch.envs.iter().map(variable).collect::<Result<_, String>>()?;
        let transport = match launch.backend {
            Backend::Ring => Transport::Ring,
            Backend::Jaccl => Transport::Jaccl,
            Backend::Nccl => Transport::Nccl,
        };
        let host = |it: LaunchHost| Host { ssh: it.ssh, ips: it.ips, rdma: it.rdma, program: it.runabout };
        let hosts: Vec<Host> = launch.hosts.into_iter().map(host).collect();
        let port = launch.port.or(ring_port).unwrap_or(FIRST_PORT);
        let hosts = Self { transport, environment, port, hosts, text };
        hosts.check()?;
        Ok(hosts)
    }

    fn check(&self) -> Result<(), String> {
        if self.hosts.len() < 2 {
            return Err(format!("expected at least 2 hosts, got {}", self.hosts.len()));
        }
        // The other transports need to know where rank 0 is, and find the rest by themselves.
        let needs_ips = |rank: usize| rank == 0 || self.transport == Transport::Ring;
        if let Some(rank) = (0..self.hosts.len()).find(|it| needs_ips(*it) && self.hosts[*it].ips.is_empty())
        {
            return Err(format!("host {rank} has no `ips`"));
        }
        let n_connections = self.hosts.iter().map(|it| it.ips.len()).sum::<usize>();
        if self.port < 2 || usize::from(self.port) + n_connections > usize::from(u16::MAX) {
            return Err(format!("there is no room for {n_connections} ports from {} on", self.port));
        }
        if self.transport == Transport::Ring
            && self.hosts.iter().any(|it| it.ips.len() != self.hosts[0].ips.len())
        {
            return Err("all hosts of a ring must have as many `ips`".to_owned());
        }
        if self.transport == Transport::Jaccl {
            for (rank, host) in self.hosts.iter().enumerate() {
                let devices = host.rdma.as_array().map(Vec::as_slice).unwrap_or_default();
                if devices.len() != self.hosts.len() || !devices[rank].is_null() {
                    return Err(format!(
                        "`rdma` of host {rank} must have an entry for each host, and null for itself"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What MLX must find in the environment of a rank: variables, and variables that name files with these contents.
    #[expect(clippy::type_complexity, reason = "names and values, twice")]
    pub(crate) fn environment_of(&self, rank: usize) -> (Vec<(String, String)>, Vec<(String, String)>) {
        let first = &self.hosts[0].ips[0];
        let mut variables: BTreeMap<String, String> = self.environment.iter().cloned().collect();
        let mut files = Vec::new();
        variables.insert("MLX_RANK".to_owned(), rank.to_string());
        match self.transport {
            Transport::Ring => files.push(("MLX_HOSTFILE".to_owned(), self.ring())),
            Transport::Jaccl => {
                variables.insert("MLX_JACCL_COORDINATOR".to_owned(), format!("{first}:{}", self.port));
                let devices: Vec<_> = self.hosts.iter().map(|it| &it.rdma).collect();
                files.push(("MLX_IBV_DEVICES".to_owned(), serde_json::json!(devices).to_string()));
            }
            Transport::Nccl => {
                variables.insert("NCCL_HOST_IP".to_owned(), first.clone());
                variables.insert("NCCL_PORT".to_owned(), self.port.to_string());
                variables.insert("MLX_WORLD_SIZE".to_owned(), self.hosts.len().to_string());
            }
        }
        (variables.into_iter().collect(), files)
    }

    /// The address of each connection of the ring, by rank.
    fn ring(&self) -> String {
        let mut ports = self.port..;
        let mut address = |ip: &String| format!("{ip}:{}", ports.next().unwrap_or(u16::MAX));
        let ring: Vec<Vec<String>> =
            self.hosts.iter().map(|it| it.ips.iter().map(&mut address).collect()).collect();
        serde_json::json!(ring).to_string()
    }

    /// Where ranks that are started by hand find the process that leads them.
    pub(crate) fn meeting_place(&self) -> (&str, u16) {
        (&self.hosts[0].ips[0], self.port - 1)
    }
}

/// The hosts of a ring, and its first port. Its addresses must be as `mlx.launch` numbers them, since here too ports
/// follow from the first.
fn of_ring(ring: &[Vec<String>]) -> Result<(Vec<LaunchHost>, u16), String> {
    let mut next = None;
    let mut first = FIRST_PORT;
    let mut hosts = Vec::new();
    for addresses in ring {
        let mut ips = Vec::new();
        for address in addresses {
            let parts = address.rsplit_once(':').and_then(|(ip, port)| Some((ip, port.parse::<u16>().ok()?)));
            let (ip, port) = parts.ok_or_else(|| format!("`{address}` is no address with a port"))?;
            if next.is_some_and(|it| it != port) {
                return Err(format!("ports must ascend one by one, unlike that of `{address}`"));
            }
            if next.is_none() {
                first = port;
            }
            next = port.checked_add(1);
            ips.push(ip.to_owned());
        }
        hosts.push(LaunchHost { ssh: None, ips, rdma: serde_json::Value::Null, runabout: None });
    }
    Ok((hosts, first))
}

impl Host {
    pub(crate) fn is_this_machine(&self) -> bool {
        matches!(self.ssh.as_deref(), Some("127.0.0.1" | "localhost"))
    }

    /// For people.
    pub(crate) fn name(&self) -> &str {
        self.ssh.as_deref().or(self.ips.first().map(String::as_str)).unwrap_or("a host without a name")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<Hosts, String> {
        Hosts::parse(text.to_owned())
    }

    #[test]
    fn files_of_mlx_launch_are_read_in_each_form() {
        let list = r#"[{"ssh": "127.0.0.1", "ips": ["10.0.0.1"]}, {"ssh": "b.local", "ips": ["10.0.0.2"]}]"#;
        let hosts = parse(list).unwrap();
        assert_eq!((hosts.transport, hosts.port, hosts.hosts.len()), (Transport::Ring, 32_323, 2));
        assert!(hosts.hosts[0].is_this_machine() && !hosts.hosts[1].is_this_machine());
        let of_rank = hosts.environment_of(1);
        assert_eq!(of_rank.0, [("MLX_RANK".to_owned(), "1".to_owned())]);
        let ring = r#"[["10.0.0.1:32323"],["10.0.0.2:32324"]]"#;
        assert_eq!(of_rank.1, [("MLX_HOSTFILE".to_owned(), ring.to_owned())]);
        assert_eq!(parse(ring).unwrap().environment_of(1), of_rank);

        let jaccl = r#"{"backend": "jaccl", "envs": ["MLX_METAL_FAST_SYNCH=1"], "port": 5000, "hosts": [
            {"ssh": "a", "ips": ["10.0.0.1"], "rdma": [null, "rdma_en2"]},
            {"ssh": "b", "ips": [], "rdma": ["rdma_en2", null]}]}"#;
        let (variables, files) = parse(jaccl).unwrap().environment_of(0);
        let variables: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            variables,
            ["MLX_JACCL_COORDINATOR=10.0.0.1:5000", "MLX_METAL_FAST_SYNCH=1", "MLX_RANK=0"]
        );
        assert_eq!(files[0].1, r#"[[null,"rdma_en2"],["rdma_en2",null]]"#);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said() {
        for (text, expected) in [
            ("[", "EOF"),
            ("[]", "expected at least 2 hosts, got 0"),
            (r#"[{"ssh": "a", "ips": ["1"]}]"#, "expected at least 2 hosts, got 1"),
            (r#"[{"ssh": "a", "ips": ["1"]}, {"shs": "b"}]"#, "unknown field `shs`"),
            (r#"{"backend": "mpi", "hosts": []}"#, "unknown variant `mpi`"),
            (r#"{"envs": ["A"], "hosts": []}"#, "`A` in `envs` has no `=`"),
            (r#"{"port": 65535, "hosts": [{"ips": ["1"]}, {"ips": ["2"]}]}"#, "no room for 2 ports"),
            (r#"[{"ips": ["1", "2"]}, {"ips": ["3"]}]"#, "as many `ips`"),
            (r#"[{"ips": ["1"]}, {"ssh": "b"}]"#, "host 1 has no `ips`"),
            (r#"[["a:1"], ["b:9"]]"#, "ports must ascend"),
            (r#"[["a"], ["b:9"]]"#, "`a` is no address"),
            (r#"{"backend": "jaccl", "hosts": [{"ips": ["1"]}, {"ips": ["2"]}]}"#, "`rdma` of host 0"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
