//! A real server on a port of its own, in this process.

use std::{net::SocketAddr, path::Path};

use patchcord_server::{Config, Listeners};
use tokio::{runtime::Runtime, sync::oneshot};

use super::pty::Pty;

pub struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
    _shutdown: oneshot::Sender<()>,
}

impl Server {
    pub fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config { listen, no_admin: true, ..Config::default() };
        let listeners = runtime.block_on(Listeners::bind(&config)).unwrap();
        let address = listeners.public.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel::<()>();
        runtime.spawn(patchcord_server::serve(config, listeners, async move {
            let _ = stopped.await;
        }));
        Self { runtime: Some(runtime), address, _shutdown: shutdown }
    }

    /// Ends it as a crash does: every socket closes, nobody is told.
    pub fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The arguments with which `patchcord` joins the lobby.
    pub fn arguments(&self, name: &str) -> Vec<String> {
        let server = self.url();
        ["join", "lobby", "--server", &server, "--name", name, "--local-address", "127.0.0.1"]
            .map(str::to_owned)
            .to_vec()
    }

    /// The client on a screen of 80x24, joined.
    pub fn join(&self, name: &str) -> Pty {
        self.join_with(name, &[], &[])
    }

    /// The same with more arguments, and more in its environment.
    pub fn join_with(&self, name: &str, more: &[&str], environment: &[(&str, &str)]) -> Pty {
        let arguments = self.arguments(name);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let program = Path::new(env!("CARGO_BIN_EXE_patchcord"));
        let pty = Pty::run_with(program, &arguments, environment, 80, 24);
        pty.wait_text(&format!("you are {name} in the room lobby"));
        pty
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}
