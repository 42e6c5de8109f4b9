//! The measurement: one system after the other, each fresh for each size of values, each case in several windows.

use std::path::Path;
use std::time::Instant;

use crate::case::{Case, System};
use crate::failure::{Doing as _, Failure};
use crate::load::{Load, preload};
use crate::matrix::MAIN_VALUE_BYTES;
use crate::progress::Progress;
use crate::results::{Results, Settings};
use crate::row::{Row, Window};
use crate::system::{Cluster, Places};
use crate::usage::Usage;
use crate::workload::Workload;

/// What a run goes through.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) systems: Vec<System>,
    pub(crate) cases: Vec<Case>,
    pub(crate) places: &'a Places,
    /// Where the raw results go after each case, so that a run that fails leaves what it had.
    pub(crate) data_dir: &'a Path,
}

impl Plan<'_> {
    /// Measures everything, into the results.
    pub(crate) async fn run(&self, results: &mut Results) -> Result<(), Failure> {
        let mut progress = Progress::new(self.systems.len() * self.cases.len());
        let (main, other): (Vec<Case>, Vec<Case>) =
            self.cases.iter().partition(|case| case.value_bytes == MAIN_VALUE_BYTES);
        for cases in [main, other] {
            for &system in &self.systems {
                // In the selection, a size may have no case at all.
                for of_a_size in cases.chunk_by(|one, next| one.value_bytes == next.value_bytes) {
                    self.measure(system, of_a_size, results, &mut progress).await?;
                }
            }
        }
        Ok(())
    }

    async fn measure(
        &self,
        system: System,
        cases: &[Case],
        results: &mut Results,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let Some(first) = cases.first() else { return Ok(()) };
        let settings = results.settings.clone();
        progress.say(&format!("{}: starting, writing {} keys", system.name(), settings.keys));
        // What others left in memory to be written does not burden this one.
        rustix::fs::sync();
        let mut cluster = Cluster::start(system, self.places).await?;
        let workload = Workload::new(settings.keys, first.value_bytes);
        let files = tempfile::tempdir_in(&self.places.work_dir).doing(|| "making a folder")?;
        // etcd's keys are the same whichever way they come in, and the gateway needs no optional feature.
        let writer = if system == System::EtcdGrpc { System::EtcdHttp } else { system };
        preload(writer, cluster.address, &workload).await?;
        let load = Load::new(system, cluster.address, &workload, settings.load_threads, files.path())?;
        for case in cases {
            let row = measure_case(system, &mut cluster, &load, case, &settings).await?;
            progress.done(&row);
            results.rows.push(row);
            results.write(self.data_dir)?;
        }
        if !cluster.still_leads().await {
            let note = format!(
                "{}: the leader moved while values of {} B were measured; from then on the load went \
                                to a follower",
                system.name(),
                first.value_bytes
            );
            progress.say(&note);
            results.notes.push(note);
        }
        Ok(())
    }
}

async fn measure_case(
    system: System,
    cluster: &mut Cluster,
    load: &Load,
    case: &Case,
    settings: &Settings,
) -> Result<Row, Failure> {
    if settings.warmup_s > 0 {
        load.run(case, settings.warmup_s).await?;
    }
    let mut windows = Vec::new();
    for _ in 0..settings.windows {
        let begun = Instant::now();
        let before = Usage::now(&cluster.servers)?;
        let report = load.run(case, settings.window_s).await?;
        let after = Usage::now(&cluster.servers)?;
        let used = after.since(&before);
        windows.push(Window {
            load: report,
            wall_s: begun.elapsed().as_secs_f64(),
            server_cpu_s: used.servers,
            load_cpu_s: used.load,
            other_cpu_s: used.others,
            steal_s: used.steal,
            rss_bytes: after.servers_rss_bytes,
        });
    }
    cluster.check()?;
    Ok(Row { system, case: *case, windows })
}
