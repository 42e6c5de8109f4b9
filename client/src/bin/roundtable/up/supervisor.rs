//! Starts the processes, watches them, and stops them.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
use crate::up::UpArgs;
use crate::up::binaries::Binaries;
use crate::up::child::Child;
use crate::up::layout::{Layout, Role};
use crate::up::processes;
use crate::up::ready::Readiness;

/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A process that ends again and again is started again at most this often.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How many lines of a log are shown.
const LOG_LINES: usize = 8;

/// The processes of the cluster.
pub(crate) struct Supervisor {
    layout: Layout,
    children: Vec<Child>,
    restart: bool,
    /// When the processes that ended are started again.
    restart_at: Option<Instant>,
    signals: Signals,
    looks: Interval,
}

/// Why waiting came to an end.
enum Event {
    Stop,
    Look,
}

impl Supervisor {
    /// Starts every process, the nodes first.
    pub(crate) fn start(args: &UpArgs, binaries: &Binaries, layout: Layout) -> Result<Self, Failure> {
        let signals = Signals::listen()?;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut children = Vec::new();
        for member in layout.members() {
            let mut child = Child::new(member, args, binaries, &layout);
            child.start()?;
            children.push(child);
        }
        Ok(Self { layout, children, restart: args.restart, restart_at: None, signals, looks })
    }

    /// Waits until the cluster is ready, tells the user, and watches until a signal or until nothing runs any more.
    pub(crate) async fn run(&mut self, ready_timeout: Duration) -> Result<(), Failure> {
        output::note(&format!(
            "starting {} node(s) and {} router(s) in {}",
            self.layout.nodes.len(),
            self.layout.routers.len(),
            self.layout.data_dir.display()
        ));
        if !self.until_ready(ready_timeout).await? {
            return Ok(());
        }
        self.publish()?;
        output::print(self.welcome().as_bytes())?;
        self.watch().await
    }

    /// Stops everything: the routers, so that no request is cut off, then the nodes.
    pub(crate) async fn stop(&mut self) {
        for role in [Role::Router, Role::Node] {
            self.children.iter().filter(|child| child.member.role == role).for_each(Child::ask_to_stop);
            for child in self.children.iter_mut().filter(|child| child.member.role == role) {
                if child.stopped().await {
                    let Child { member, .. } = child;
                    output::note(&format!(
                        "{} {} did not stop and was killed",
                        member.role.name(),
                        member.id
                    ));
                }
            }
        }
        if let Err(error) = processes::remove(&self.layout) {
            output::note(&error.to_string());
        }
    }

    /// Whether the cluster got ready before a signal came.
    async fn until_ready(&mut self, timeout: Duration) -> Result<bool, Failure> {
        let readiness = Readiness::new(&self.layout)?;
        let deadline = Instant::now() + timeout;
        loop {
            if let Event::Stop = self.next_event().await {
                return Ok(false);
            }
            if let Some(message) = self.children.iter_mut().find_map(end_of) {
                return Err(Failure::Process(format!("{message}\nnot started")));
            }
            // Asking must not keep a signal waiting.
            let obstacle = tokio::select! {
                () = self.signals.next() => return Ok(false),
                obstacle = readiness.obstacle() => obstacle,
            };
            match obstacle {
                None => return Ok(true),
                Some(obstacle) if Instant::now() >= deadline => {
                    return Err(Failure::Process(format!(
                        "not ready after {}: {obstacle}\n(logs: {})",
                        crate::duration::short(timeout),
                        self.layout.data_dir.join("logs").display()
                    )));
                }
                Some(_not_yet) => {}
            }
        }
    }

    async fn watch(&mut self) -> Result<(), Failure> {
        loop {
            if let Event::Stop = self.next_event().await {
                return Ok(());
            }
            let ended: Vec<String> = self.children.iter_mut().filter_map(end_of).collect();
            if !ended.is_empty() {
                self.tell(&ended)?;
            }
            if !self.restart && !self.children.iter().any(Child::is_running) {
                return Err(Failure::Process("no process of the cluster is left".to_owned()));
            }
            self.restart_if_due()?;
        }
    }

    fn tell(&mut self, ended: &[String]) -> Result<(), Failure> {
        let consequence = if self.restart {
            self.restart_at = Some(Instant::now() + RESTART_PAUSE);
            "it is started again in a moment"
        } else {
            "the others go on; stop this command and start it again to get it back, or use --restart"
        };
        for message in ended {
            output::note(&format!("{message}\n{consequence}"));
        }
        self.publish()
    }

    fn restart_if_due(&mut self) -> Result<(), Failure> {
        if self.restart_at.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        self.restart_at = None;
        for child in self.children.iter_mut().filter(|child| !child.is_running()) {
            child.start()?;
            output::note(&format!("{} {} was started again", child.member.role.name(), child.member.id));
        }
        self.publish()
    }

    fn publish(&self) -> Result<(), Failure> {
        let entries: Vec<_> = self.children.iter().filter_map(Child::entry).collect();
        processes::write(&self.layout, &entries)
    }

    async fn next_event(&mut self) -> Event {
        tokio::select! {
            () = self.signals.next() => Event::Stop,
            _ = self.looks.tick() => Event::Look,
        }
    }

    fn welcome(&self) -> String {
        let router =
            self.layout.routers.first().map_or_else(String::new, |router| router.address.to_string());
        let url = format!("http://{router}");
        // As it was called: it need not be on the path.
        let program = std::env::args().next().unwrap_or_else(|| "roundtable".to_owned());
        let mut text = format!("\nRoundtable is ready at {url}. Try:\n\n");
        for line in [
            format!(
                "curl -X PUT -H 'Content-Type: text/plain' --data-binary 'hello, world' {url}/v1/kv/greeting"
            ),
            format!("curl -i {url}/v1/kv/greeting"),
            format!("curl -X POST '{url}/v1/kv/visits?op=increment&by=1'"),
            format!("curl '{url}/v1/kv?prefix=gr&values=true'"),
            format!("{program} status --router {url}"),
        ] {
            text.push_str(&format!("  {line}\n"));
        }
        for router in self.layout.routers.iter().skip(1) {
            text.push_str(&format!("\nAnother router: http://{}", router.address));
        }
        text.push_str(&format!(
            "\nData, logs and processes.json: {}\nCtrl-C stops the cluster; the data stays.\n\n",
            self.layout.data_dir.display()
        ));
        text
    }
}

/// What to say of a process if it ended since the last look.
fn end_of(child: &mut Child) -> Option<String> {
    let end = child.take_end()?;
    Some(format!(
        "{} {} ended by itself: {}; the last lines of its log:\n{}",
        child.member.role.name(),
        child.member.id,
        describe(&end),
        child.last_lines(LOG_LINES)
    ))
}

fn describe(end: &io::Result<ExitStatus>) -> String {
    match end {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
