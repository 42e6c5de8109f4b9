//! Power cuts before any write or sync of the journal, while a store works, flushes and is opened again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtable_consensus::{
    Ballot, Content, ContentType, Hlc, Key, ProposerId, Register, ReplicaConfig, ReplyBody, Request,
    RequestBody, Rng, Value, Version,
};
use tempfile::TempDir;

use super::super::journal::recorder::{Files, Recorder};
use super::super::{Store, StoreOptions};
use super::image::{self, Survives};
use super::model::{Model, PARTITION};
use crate::budget::Budget;
use crate::clock::unix_ms;
use crate::committer::Durability;
use crate::disk_watch::DiskWatch;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, PipelineConfig};

/// Of so many operations on the journal's files one is preceded by a power cut.
const OPERATIONS_PER_CUT: u64 = 10;
const STEPS: usize = 160;

/// The database is flushed after some hundred kilobytes, and segments are full after a megabyte.
fn options(sync_each_commit: bool) -> StoreOptions {
    StoreOptions {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        sync_each_commit,
        ..StoreOptions::default()
    }
}

fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

fn ballot(number: u64) -> Ballot {
    Ballot::new(Hlc(Hlc::from_millis(unix_ms()).0 + number), ProposerId(7))
}

fn register(accepted: Ballot, value: Vec<u8>) -> Register {
    let value = Value { bytes: value.into(), content_type: ContentType::text() };
    Register {
        accepted,
        version: Version { ballot: accepted, index: 0 },
        content: Content::Live(value),
        ..Register::absent(Ballot::ZERO)
    }
}

fn spills(register: &Register) -> bool {
    register.content.value().is_some_and(|value| value.bytes.len() > 4096)
}

/// Cuts the power before some of the journal's writes and syncs; tells what was wrong with the images.
struct Cuts {
    /// Every image is opened with these.
    options: StoreOptions,
    dir: PathBuf,
    model: Arc<Mutex<Model>>,
    rng: Rng,
    faults: Arc<Mutex<Vec<String>>>,
    count: Arc<Mutex<usize>>,
}

impl Cuts {
    fn look(&mut self, journal: &Files) {
        // Before the directory has a name, a start begins anew.
        if !self.dir.join("IDENTITY").exists() || self.rng.up_to(OPERATIONS_PER_CUT - 1) != 0 {
            return;
        }
        let pieces = if self.rng.up_to(1) == 0 { 512 } else { 4096 };
        for survives in [Survives::Nothing, Survives::Pieces(pieces)] {
            self.cut(journal, survives);
        }
        if self.rng.up_to(9) == 0 {
            self.cut(journal, Survives::Everything);
        }
    }

    fn cut(&mut self, journal: &Files, survives: Survives) {
        let image = TempDir::new().unwrap();
        let model = self.model.lock().unwrap();
        image::make(&self.dir, journal, survives, &mut self.rng, image.path());
        if let Err(fault) = model.check(image.path(), &self.options) {
            let commits = model.commits.len();
            let mut faults = self.faults.lock().unwrap();
            faults.push(format!("commit {commits}, of what was not synced {survives:?}: {fault}"));
        }
        *self.count.lock().unwrap() += 1;
    }
}

/// A store that is written to, by a seed.
struct Scenario {
    store: Option<Store>,
    dir: TempDir,
    options: StoreOptions,
    model: Arc<Mutex<Model>>,
    rng: Rng,
}

impl Scenario {
    fn step(&mut self) {
        let step = self.rng.up_to(99);
        match step {
            0..80 => self.commit(),
            80..90 => self.store().apply().unwrap(),
            90..93 => {
                self.store().sync().unwrap();
                self.model.lock().unwrap().note_durable();
            }
            93..95 => {
                self.store().flush().unwrap();
                self.model.lock().unwrap().note_durable();
            }
            95..98 => drop(self.store().drop_log_beyond(2_000).unwrap()),
            _ => {
                self.store = None;
                self.store = Some(Store::open(self.dir.path(), &self.options).unwrap());
            }
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn commit(&mut self) {
        let number = self.model.lock().unwrap().commits.len() as u64;
        let mut written: Vec<(Key, Register)> = Vec::new();
        for index in 0..=self.rng.up_to(2) {
            let key = key(&format!("k{}", index * 5 + self.rng.up_to(4)));
            let bytes = [20, 2_000, 5_000, 30_000][usize::try_from(self.rng.up_to(3)).unwrap()];
            let random = usize::try_from(self.rng.next_u64() % 251).unwrap();
            let value = (random..random + bytes).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            written.push((key, register(ballot(number * 4 + index), value)));
        }
        let replaced: Vec<bool> = {
            let mut model = self.model.lock().unwrap();
            let before = model.registers(model.commits.len());
            let was_spilled =
                written.iter().map(|(key, _)| before.get(key).is_some_and(|register| spills(register)));
            let was_spilled = was_spilled.collect();
            model.commits.push(written.clone());
            was_spilled
        };
        let horizon = (self.rng.up_to(19) == 0).then(|| ballot(1_000_000 + number));
        let mut commit = self.store.as_ref().unwrap().begin_commit();
        for ((key, register), was_spilled) in written.into_iter().zip(replaced) {
            let spilled = spills(&register);
            commit.accept(PARTITION, &key, &Arc::new(register), spilled, was_spilled, 0);
        }
        if let Some(horizon) = horizon {
            commit.horizon(0, horizon);
        }
        commit.journal().unwrap();
        let mut model = self.model.lock().unwrap();
        model.horizon = model.horizon.max(horizon.unwrap_or(Ballot::ZERO));
        if self.options.sync_each_commit {
            model.note_durable();
        }
    }
}

/// Runs a scenario with power cuts; returns what was wrong, and how many there were.
fn run(sync_each_commit: bool, seed: u64) -> (Vec<String>, usize) {
    let dir = TempDir::new().unwrap();
    let model = Arc::new(Mutex::new(Model::default()));
    let (faults, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let mut cuts = Cuts {
        options: options(sync_each_commit),
        dir: dir.path().to_owned(),
        model: Arc::clone(&model),
        rng: Rng::new(seed),
        faults: Arc::clone(&faults),
        count: Arc::clone(&count),
    };
    let recorder = Recorder::start(&dir.path().join("journal"), move |files| cuts.look(files));
    let options = options(sync_each_commit);
    let store = Some(Store::open(dir.path(), &options).unwrap());
    let mut scenario = Scenario { store, dir, options, model, rng: Rng::new(seed + 1) };
    for _ in 0..STEPS {
        scenario.step();
    }
    drop((scenario, recorder));
    let faults = std::mem::take(&mut *faults.lock().unwrap());
    let count = *count.lock().unwrap();
    (faults, count)
}

fn assert_survives(sync_each_commit: bool) {
    let seed =
        std::env::var("ROUNDTABLE_POWER_CUT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (faults, cuts) = run(sync_each_commit, seed);
    assert!(faults.is_empty(), "seed {seed}, {} faults: {:#?}", faults.len(), &faults[..faults.len().min(5)]);
    assert!(cuts >= 20, "seed {seed}: {cuts} power cuts");
}

#[test]
fn store_that_syncs_each_commit_outlives_power_cuts_at_any_moment() {
    assert_survives(true);
}

#[test]
fn store_that_syncs_now_and_then_outlives_power_cuts_at_any_moment() {
    assert_survives(false);
}

/// An image of what is certain to be left now.
fn least_image(dir: &Path, recorder: &Recorder) -> TempDir {
    let image = TempDir::new().unwrap();
    image::make(dir, &recorder.files(), Survives::Nothing, &mut Rng::new(0), image.path());
    image
}

#[test]
fn log_whose_files_were_dropped_starts_again_after_a_power_cut() {
    let dir = TempDir::new().unwrap();
    let options = options(false);
    let recorder = Recorder::start(&dir.path().join("journal"), |_| ());
    let store = Store::open(dir.path(), &options).unwrap();
    for number in 0..200_u64 {
        let mut commit = store.begin_commit();
        let register = Arc::new(register(ballot(number), b"v".to_vec()));
        commit.accept(PARTITION, &key(&format!("{number}")), &register, false, false, 0);
        commit.journal().unwrap();
        if number % 10 == 9 {
            store.flush().unwrap();
        }
    }
    // Whole files go only from the levels that compaction has filled.
    store.db.compact_range_cf::<&[u8], &[u8]>(
        super::super::columns::family(&store.db, super::super::columns::LOG),
        None,
        None,
    );
    store.drop_log_beyond(0).unwrap().unwrap();
    let image = least_image(dir.path(), &recorder);
    let again = Store::open(image.path(), &options).unwrap();
    assert_eq!(again.log_bounds(), store.log_bounds());
}

#[tokio::test]
async fn promise_outlives_a_power_cut_however_long_the_interval_between_syncs() {
    let dir = TempDir::new().unwrap();
    let recorder = Recorder::start(&dir.path().join("journal"), |_| ());
    let store = Arc::new(Store::open(dir.path(), &options(false)).unwrap());
    let config = PipelineConfig {
        shards: 1,
        queue_batches_max: 8,
        durability: Durability::Interval(Duration::from_secs(3600)),
        log_bytes_max: u64::MAX,
        replica: ReplicaConfig::STANDARD,
    };
    let disk = Arc::new(DiskWatch::new(dir.path(), 0).unwrap());
    let (budget, metrics) = (Budget::new(64 << 20), Arc::new(Metrics::new()));
    let pipeline = Pipeline::start(&store, &config, &disk, &budget, &metrics, &Fault::new().0).unwrap();
    let promised = ballot(0);
    let request = Request {
        id: 1,
        partition: PARTITION,
        done: true,
        key: key("k"),
        body: RequestBody::Prepare { ballot: promised, want_value: false, grows: true },
    };
    let (replies, _held) = pipeline.submit(vec![request], |_| None).replies().await.unwrap();
    assert!(matches!(replies[0].body, ReplyBody::Promised(_)), "{replies:?}");
    let image = least_image(dir.path(), &recorder);
    pipeline.stop();
    let horizon = Store::open(image.path(), &options(false)).unwrap().horizon().unwrap();
    assert!(horizon > promised, "{promised} was promised, and {horizon} is what a restart begins at");
}
