//! Processes of an earlier run, whose `up` was killed: they stop by themselves, and are waited for.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;
use crate::output;
use crate::up::child::is_log_free;
use crate::up::layout::Layout;

/// How long they may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until no process of an earlier run has its log any more.
pub(crate) async fn wait(layout: &Layout) -> Result<(), Failure> {
    let deadline = Instant::now() + WAIT_MAX;
    let mut told = false;
    for member in layout.members() {
        let log_file = layout.log_file(&member.id);
        let opening = |error| Failure::io(format!("opening {}", log_file.display()), error);
        while !is_log_free(&log_file).map_err(opening)? {
            if Instant::now() >= deadline {
                return Err(Failure::Other(format!(
                    "{} {} of an earlier run does not stop (it writes {}); stop it, or choose another --data-dir",
                    member.role.name(),
                    member.id,
                    log_file.display()
                )));
            }
            if !told {
                output::note("waiting for the processes of an earlier run to stop");
                told = true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
