use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000;
const CONFIG: HealthConfig = HealthConfig {
    suspect_after_us: 100 * MS,
    suspect_after_us_max: 400 * MS,
    probe_interval_us: 1_000 * MS,
    probe_backoff_us_min: 20 * MS,
    probe_backoff_us_max: 1_000 * MS,
};

/// A node that was found usable at time zero.
fn up() -> Health {
    let mut health = Health::new(CONFIG, 1);
    assert!(health.start_probe(0));
    assert_eq!(health.probe_answered(0, Ok(())), Some(Reach::Usable));
    health
}

#[test]
fn new_node_is_probed_at_once_and_unusable_until_it_answers() {
    let mut health = Health::new(CONFIG, 1);
    assert_eq!((health.standing(), health.next_timer_us()), (Standing::Unknown, Some(0)));
    assert!(health.start_probe(5));
    assert!(!health.start_probe(6), "one probe at a time");
    assert_eq!(health.probe_answered(7, Ok(())), Some(Reach::Usable));
}

#[test]
fn lost_batch_makes_the_node_unusable_and_probes_it() {
    let mut health = up();
    let (batch, _) = health.batch_sent(10, Lane::Quick);
    assert_eq!(health.batch_lost(11, batch, "connection refused".to_owned()), Some(Reach::Doubtful));
    assert_eq!((health.standing(), health.detail()), (Standing::Suspect, "connection refused"));
    assert!(health.start_probe(11));
    assert_eq!(health.probe_failed(12, "connection refused".to_owned()), Some(Reach::Unreachable));
    assert_eq!(health.standing(), Standing::Down);
    let (batch, _) = health.batch_sent(13, Lane::Quick);
    assert_eq!(health.batch_lost(14, batch, "connection refused".to_owned()), None);
    assert_eq!(health.standing(), Standing::Down, "a further loss is no better news");
}

#[test]
fn connection_that_broke_alone_costs_the_node_nothing_but_a_probe() {
    let mut health = up();
    let (batch, _) = health.batch_sent(10, Lane::Quick);
    assert_eq!(health.batch_lost(11, batch, "reset".to_owned()), Some(Reach::Doubtful));
    assert!(health.standing().is_reachable());
    assert!(health.start_probe(11));
    assert_eq!(health.probe_answered(12, Ok(())), Some(Reach::Usable));
}

#[test]
fn idle_connection_that_the_node_closed_brings_the_probe_forward() {
    let mut health = up();
    assert!(!health.start_probe(10));
    health.connection_closed(10);
    assert!(health.start_probe(10));
    assert_eq!(health.probe_failed(11, "connection refused".to_owned()), Some(Reach::Unreachable));
    let next = health.next_timer_us();
    health.connection_closed(12);
    assert_eq!(health.next_timer_us(), next, "the pauses of an unreachable node are kept");
}

#[test]
fn slow_node_is_reachable_as_long_as_it_answers() {
    // Each answer takes a second and a half: longer than the suspicion and than a probe's time.
    let mut health = up();
    let (mut now_us, mut waiting, mut probed_us) = (0, Vec::new(), None);
    for step in 0..40 {
        waiting.push((now_us, health.batch_sent(now_us, Lane::Durable).0));
        now_us += 500 * MS;
        let answered = waiting.iter().position(|(sent_us, _)| now_us - sent_us >= 1_500 * MS);
        if let Some(place) = answered {
            health.batch_answered(now_us, waiting.remove(place).1);
        }
        health.tick(now_us);
        if probed_us.take_if(|sent_us| now_us - *sent_us >= 1_000 * MS).is_some() {
            health.probe_failed(now_us, "no answer within 1s".to_owned());
        }
        if health.start_probe(now_us) {
            probed_us = Some(now_us);
        }
        // The first answer comes after a second and a half; from then on there was always one lately.
        if step >= 3 {
            assert_eq!(health.standing(), Standing::Suspect, "step {step}");
            assert!(health.standing().is_reachable());
        }
    }
}

#[test]
fn late_answer_of_a_node_that_was_given_up_brings_it_back() {
    let mut health = up();
    let (first, suspect_at_us) = health.batch_sent(10, Lane::Durable);
    let (second, _) = health.batch_sent(11, Lane::Durable);
    let now_us = suspect_at_us + 1;
    assert_eq!(health.tick(now_us), Some(Reach::Doubtful));
    assert!(health.start_probe(now_us));
    assert_eq!(health.probe_failed(now_us + 1_000 * MS, "timed out".to_owned()), Some(Reach::Unreachable));
    assert_eq!(health.batch_answered(now_us + 1_001 * MS, first), Some(Reach::Doubtful), "one is overdue");
    assert_eq!(health.batch_answered(now_us + 1_002 * MS, second), Some(Reach::Usable));
}

#[test]
fn overdue_batch_suspects_the_node_and_its_late_answer_redeems_it() {
    let mut health = up();
    let (batch, suspect_at_us) = health.batch_sent(10, Lane::Durable);
    assert_eq!(suspect_at_us, 10 + 100 * MS);
    assert_eq!(health.tick(suspect_at_us - 1), None);
    assert_eq!(health.tick(suspect_at_us), Some(Reach::Doubtful));
    assert!(health.start_probe(suspect_at_us));
    assert_eq!(
        health.probe_answered(suspect_at_us + 1, Ok(())),
        None,
        "probes alone don't redeem a hung disk"
    );
    assert_eq!(health.standing(), Standing::Suspect);
    assert_eq!(health.batch_answered(suspect_at_us + 2, batch), Some(Reach::Usable));
}

#[test]
fn refusal_is_shown_and_ends_with_a_good_probe() {
    let mut health = up();
    let (batch, _) = health.batch_sent(10, Lane::Quick);
    assert_eq!(health.batch_refused(11, batch, "another cluster".to_owned()), Some(Reach::Unreachable));
    assert_eq!((health.standing(), health.detail()), (Standing::Refused, "another cluster"));
    assert!(health.start_probe(11));
    assert_eq!(health.probe_answered(12, Err("not ready".to_owned())), None);
    assert_eq!(health.detail(), "not ready");
    let again = health.next_timer_us().unwrap();
    assert!(health.start_probe(again));
    assert_eq!(health.probe_answered(again, Ok(())), Some(Reach::Usable));
    assert_eq!(health.detail(), "");
}

#[test]
fn probe_pauses_grow_with_jitter_up_to_the_limit() {
    let mut health = Health::new(CONFIG, 7);
    let mut now_us = 0;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        assert!(health.start_probe(now_us));
        health.probe_failed(now_us, "no route".to_owned());
        let next = health.next_timer_us().unwrap();
        pauses.push(next - now_us);
        now_us = next;
    }
    assert!((10 * MS..30 * MS).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses.iter().all(|&pause| pause < 1_500 * MS), "{pauses:?}");
    assert!(pauses[9] >= 500 * MS, "{pauses:?}");
}

#[test]
fn missed_node_is_probed_at_once_however_long_it_was_away() {
    let mut health = Health::new(CONFIG, 1);
    let mut now = 0;
    for _ in 0..10 {
        now = health.next_timer_us().unwrap();
        assert!(health.start_probe(now));
        health.probe_failed(now, "connection refused".to_owned());
    }
    assert!(health.next_timer_us().unwrap() > now + 100 * MS);
    assert!(health.missed(now + 1));
    assert!(health.start_probe(now + 1));
    health.probe_failed(now + 1, "connection refused".to_owned());
    assert!(health.next_timer_us().unwrap() <= now + 1 + 30 * MS, "the pauses begin anew");

    let mut usable = up();
    let next = usable.next_timer_us();
    assert!(!usable.missed(5));
    assert_eq!(usable.next_timer_us(), next);
}

#[test]
fn unanswered_probe_of_a_busy_node_is_forgiven() {
    let mut health = up();
    let (batch, _) = health.batch_sent(999 * MS, Lane::Quick);
    let due = health.next_timer_us().unwrap().max(1_500 * MS);
    health.batch_answered(999 * MS + 1, batch);
    assert!(health.start_probe(due));
    let (batch, _) = health.batch_sent(due + 1, Lane::Quick);
    health.batch_answered(due + 2, batch);
    assert_eq!(health.probe_failed(due + 500 * MS, "timed out".to_owned()), None);
    assert!(health.start_probe(due + 2_000 * MS));
    assert_eq!(health.probe_failed(due + 2_500 * MS, "timed out".to_owned()), Some(Reach::Unreachable));
}

#[test]
fn suspicion_adapts_between_its_limits() {
    let mut health = up();
    let table =
        [(MS, 100 * MS..=100 * MS), (60 * MS, 100 * MS..=300 * MS), (2_000 * MS, 400 * MS..=400 * MS)];
    let mut now_us = 0;
    for (took_us, expected) in table {
        for _ in 0..8 {
            let (batch, _) = health.batch_sent(now_us, Lane::Durable);
            now_us += took_us;
            health.batch_answered(now_us, batch);
        }
        let bound = health.suspect_after_us(Lane::Durable);
        assert!(expected.contains(&bound), "{took_us}: {bound}");
    }
    assert_eq!(health.suspect_after_us(Lane::Quick), 100 * MS, "lanes are judged apart");
}

proptest! {
    #[test]
    fn reach_is_told_exactly_when_it_changes(steps in prop::collection::vec((0_u8..7, 0_u64..200), 0..200)) {
        let mut health = Health::new(CONFIG, 3);
        let (mut now_us, mut reach, mut sent, mut probing) = (0, Reach::Doubtful, Vec::new(), false);
        for (step, ms) in steps {
            now_us += ms * MS;
            let oldest = sent.first().copied();
            let change = match (step, oldest) {
                (0, _) => { sent.push(health.batch_sent(now_us, Lane::Quick).0); None }
                (1, Some(batch)) => { sent.remove(0); health.batch_answered(now_us, batch) }
                (2, Some(batch)) => { sent.remove(0); health.batch_lost(now_us, batch, "lost".to_owned()) }
                (3, Some(batch)) => { sent.remove(0); health.batch_refused(now_us, batch, "no".to_owned()) }
                (4, _) if probing => { probing = false; health.probe_answered(now_us, Ok(())) }
                (5, _) if probing => { probing = false; health.probe_failed(now_us, "dead".to_owned()) }
                _ => {
                    probing |= health.start_probe(now_us);
                    health.tick(now_us)
                }
            };
            if let Some(is) = change {
                prop_assert_ne!(is, reach);
                reach = is;
            }
            prop_assert_eq!(health.standing().reach(), reach);
            prop_assert!(probing || health.next_timer_us().is_some());
        }
    }
}
