//! A TCP wire to a server that can be cut, at once or after so many bytes, that can fall silent, and that can refuse
//! to be laid.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

#[derive(Default)]
struct Plan {
    refuses: AtomicBool,
    /// Bytes until it is cut; negative when it is not to be.
    bytes_left: AtomicI64,
}

pub struct Wire {
    pub url: String,
    plan: Arc<Plan>,
    cut: Arc<watch::Sender<u64>>,
    silent: Arc<Mutex<Arc<watch::Sender<bool>>>>,
}

/// What was laid carries nothing and is not closed until this is dropped.
pub struct Silence(Arc<watch::Sender<bool>>);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Wire {
    pub async fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Plan { bytes_left: AtomicI64::new(-1), ..Plan::default() });
        let cut = Arc::new(watch::Sender::new(0));
        let silent: Arc<Mutex<Arc<watch::Sender<bool>>>> = Arc::default();
        tokio::spawn(accept(listener, server, Arc::clone(&plan), Arc::clone(&cut), Arc::clone(&silent)));
        Self { url, plan, cut, silent }
    }

    /// Breaks what is laid.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks once, when so many more bytes have gone either way.
    pub fn cut_after(&self, bytes: i64) {
        self.plan.bytes_left.store(bytes, SeqCst);
    }

    /// Silences what is laid; what is laid from now on carries.
    pub fn silence(&self) -> Silence {
        let silent = std::mem::take(&mut *self.silent.lock().unwrap());
        silent.send_replace(true);
        Silence(silent)
    }

    pub fn refuse(&self) {
        self.plan.refuses.store(true, SeqCst);
    }

    pub fn accept(&self) {
        self.plan.refuses.store(false, SeqCst);
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    plan: Arc<Plan>,
    cut: Arc<watch::Sender<u64>>,
    silent: Arc<Mutex<Arc<watch::Sender<bool>>>>,
) {
    while let Ok((near, _)) = listener.accept().await {
        if plan.refuses.load(SeqCst) {
            continue;
        }
        let Ok(far) = TcpStream::connect(&server).await else { continue };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        let mut cuts = cut.subscribe();
        cuts.mark_unchanged();
        let (plan, cut) = (Arc::clone(&plan), Arc::clone(&cut));
        let silent = silent.lock().unwrap().subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = carry(near_read, far_write, &plan, &cut, silent.clone()) => {}
                () = carry(far_read, near_write, &plan, &cut, silent.clone()) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
    cut: &watch::Sender<u64>,
    mut silent: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // Nobody can end a silence any more when its sender is gone.
        let _ = silent.wait_for(|silent| !silent).await;
        let count = match plan.bytes_left.load(SeqCst) {
            ..0 => count,
            left if left >= count as i64 => {
                plan.bytes_left.fetch_sub(count as i64, SeqCst);
                count
            }
            left => {
                let _ = to.write_all(&buffer[..left as usize]).await;
                plan.bytes_left.store(-1, SeqCst);
                cut.send_modify(|cuts| *cuts += 1);
                return;
            }
        };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
