//! Programs that start other programs: what stands between their name and what they start.

/// How a launcher's command line reads.
#[derive(Debug)]
pub(super) struct Launcher {
    names: &'static [&'static str],
    /// Words that say that something is started; one of them has to come, unless `bare`.
    pub(super) verbs: &'static [&'static str],
    /// Whether it starts something without a verb too.
    pub(super) bare: bool,
    /// Flags whose value is the next word.
    pub(super) values: &'static [&'static str],
    /// Letters of the flags after which there is program text: nothing that could be a name.
    pub(super) text: &'static str,
    /// Whether what it starts is a container image.
    pub(super) image: bool,
}

const PLAIN: Launcher =
    Launcher { names: &[], verbs: &[], bare: true, values: &[], text: "", image: false };

#[rustfmt::skip]
const UV: &[&str] = &[
    "-p", "--python", "--from", "--with", "--with-editable", "--with-requirements", "-c",
    "--constraints", "--overrides", "-i", "--index", "--index-url", "--default-index",
    "--extra-index-url", "-f", "--find-links", "-P", "--upgrade-package", "--refresh-package",
    "--directory", "--project", "--env-file", "--cache-dir", "--config-file", "--extra", "--group",
    "--package", "--color",
];
#[rustfmt::skip]
const NPM: &[&str] = &[
    "-p", "--package", "-c", "--call", "-w", "--workspace", "--registry", "--prefix", "--cache",
    "-C", "--dir", "--cwd",
];
#[rustfmt::skip]
const NODE: &[&str] = &[
    "-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions",
    "--env-file", "--title", "--eval", "--print", "--tsconfig", "-P", "--project", "-O",
    "--preload", "--config", "--cwd",
];
#[rustfmt::skip]
const DOCKER: &[&str] = &[
    "-e", "--env", "--env-file", "-v", "--volume", "--volumes-from", "--mount", "--tmpfs",
    "--name", "--network", "--net", "--network-alias", "-p", "--publish", "--expose", "-w",
    "--workdir", "-u", "--user", "--userns", "--entrypoint", "--platform", "-l", "--label",
    "--label-file", "-h", "--hostname", "-m", "--memory", "-c", "--cpu-shares", "--cpus",
    "--add-host", "--cap-add", "--cap-drop", "--cidfile", "--device", "--dns", "--gpus",
    "--group-add", "--ip", "--ipc", "--link", "--log-driver", "--log-opt", "--pid",
    "--pids-limit", "--pull", "--restart", "--runtime", "--security-opt", "--shm-size",
    "--stop-signal", "--stop-timeout", "--ulimit", "-a", "--attach", "--context", "-H", "--host",
];

#[rustfmt::skip]
const LAUNCHERS: &[Launcher] = &[
    Launcher { names: &["uvx"], values: UV, ..PLAIN },
    Launcher { names: &["uv"], verbs: &["run", "tool"], bare: false, values: UV, ..PLAIN },
    Launcher {
        names: &["pipx"], verbs: &["run"], bare: false,
        values: &["--spec", "--python", "--pip-args", "-i", "--index-url", "--with"], ..PLAIN
    },
    Launcher {
        names: &["poetry", "pdm", "pipenv", "hatch", "rye"], verbs: &["run"], bare: false,
        values: &["-C", "--directory", "-P", "-p", "--project"], ..PLAIN
    },
    // The command of the Python SDK: `mcp run server.py`.
    Launcher {
        names: &["mcp", "fastmcp"], verbs: &["run"], bare: false,
        values: &["-t", "--transport"], ..PLAIN
    },
    Launcher { names: &["npx", "bunx", "pnpx"], values: NPM, text: "c", ..PLAIN },
    Launcher { names: &["npm"], verbs: &["exec", "x"], bare: false, values: NPM, text: "c", ..PLAIN },
    Launcher { names: &["pnpm", "yarn"], verbs: &["dlx", "exec"], bare: false, values: NPM, text: "c", ..PLAIN },
    Launcher { names: &["bun"], verbs: &["run", "x"], values: NODE, text: "ep", ..PLAIN },
    Launcher { names: &["node", "ts-node"], values: NODE, text: "ep", ..PLAIN },
    Launcher { names: &["tsx"], verbs: &["watch"], values: NODE, text: "ep", ..PLAIN },
    Launcher {
        names: &["deno"], verbs: &["run"], bare: false,
        values: &["-c", "--config", "--import-map", "--lock", "--cert", "--env-file", "--location"], ..PLAIN
    },
    // `-m MODULE` is left: the module is a name.
    Launcher { names: &["python", "pypy"], values: &["-W", "-X"], text: "c", ..PLAIN },
    Launcher { names: &["java"], values: &["-cp", "-classpath", "--class-path", "--module-path"], ..PLAIN },
    Launcher { names: &["sh", "bash", "dash", "zsh", "ksh"], values: &["-o", "-O"], text: "c", ..PLAIN },
    Launcher { names: &["env"], values: &["-u", "--unset", "-C", "--chdir", "--split-string"], text: "S", ..PLAIN },
    Launcher { names: &["docker", "podman"], verbs: &["run"], bare: false, values: DOCKER, image: true, ..PLAIN },
];

impl Launcher {
    /// The launcher of this name, also with a version: `python3.12`.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        LAUNCHERS.iter().find(|launcher| launcher.names.contains(&plain))
    }

    /// Whether program text follows this flag: `-c`, or `-lc`.
    pub(super) fn is_text(&self, flag: &str) -> bool {
        let letters = flag.strip_prefix('-').filter(|letters| (1..=4).contains(&letters.len()));
        !self.values.contains(&flag)
            && letters.is_some_and(|letters| {
                letters.chars().all(|c| c.is_ascii_alphabetic())
                    && letters.contains(|letter| self.text.contains(letter))
            })
    }
}
