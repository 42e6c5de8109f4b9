//! Situations that operators meet, one each.

use super::world::*;
use crate::bootstrap::{Bootstrap, BootstrapEffect, Membership, Obstacle, Refusal, Status};
use crate::configuration::{Adopted, FileStanding};
use crate::ids::{ClusterId, Epoch, NodeId, StorageId};

/// A cluster of three that is up.
fn founded() -> World {
    let mut world = World::new(3);
    world.settle();
    assert!(world.all_adopted());
    world
}

fn obstacle_at(world: &World, node: usize, of: &NodeId) -> Option<Obstacle> {
    match world.status(node) {
        Status::Gathering { obstacles } | Status::Bound { obstacles, .. } => {
            obstacles.into_iter().find(|(named, _)| named == of).map(|(_, obstacle)| obstacle)
        }
        other => panic!("n{} is not waiting: {other}", node + 1),
    }
}

fn cluster_of(world: &World, node: usize) -> ClusterId {
    world.nodes[node].boot.adopted().unwrap().cluster
}

/// `n1` bound, the others not.
fn first_one_bound() -> World {
    let mut world = World::new(3);
    world.exchange(0, &id(2));
    world.exchange(0, &id(3));
    world.sync(0);
    assert!(matches!(world.status(0), Status::Bound { .. }));
    world
}

#[test]
fn three_empty_directories_become_one_cluster() {
    let world = founded();
    let storage = world.nodes.iter().map(|node| (node.id.clone(), node.storage)).collect();
    let expected = Adopted::first(file(1, &[1, 2, 3]), storage);
    for node in &world.nodes {
        assert_eq!(**node.boot.adopted().unwrap(), expected);
        assert_eq!(node.boot.file_standing(), Some(FileStanding::Same));
        let hello = node.boot.hello(5, true, String::new());
        assert_eq!((hello.bound, hello.adopted.as_ref()), (Some(expected.cluster), Some(&expected)));
    }
}

#[test]
fn one_node_alone_becomes_a_cluster() {
    let mut world = World::new(1);
    world.settle();
    assert!(world.all_adopted());
}

#[test]
fn node_that_is_down_keeps_the_others_from_binding() {
    let mut world = World::new(3);
    world.nodes[2].up = false;
    world.settle();
    let detail = "connection refused".to_owned();
    assert_eq!(obstacle_at(&world, 0, &id(3)), Some(Obstacle::Unreachable { detail }));
    assert_eq!(obstacle_at(&world, 0, &id(2)), None);
    assert!(world.bindings.is_empty());
    world.nodes[2].up = true;
    world.settle();
    assert!(world.all_adopted());
}

#[test]
fn node_not_asked_yet_is_silent() {
    assert_eq!(obstacle_at(&World::new(2), 0, &id(2)), Some(Obstacle::Silent));
}

#[test]
fn binding_is_told_only_when_it_is_durable() {
    let mut world = World::new(2);
    world.exchange(0, &id(2));
    assert!(matches!(world.status(0), Status::Binding { .. }));
    assert_eq!(world.hello(0).bound, None);
    world.sync(0);
    assert!(world.hello(0).bound.is_some());
    world.exchange(1, &id(1));
    world.sync(1);
    assert!(matches!(world.status(1), Status::Adopting { .. }));
    assert_eq!(world.hello(1).adopted, None);
}

#[test]
fn late_node_adopts_on_the_word_of_one_that_has() {
    let mut world = World::new(3);
    for (asker, of) in [(0, 2), (0, 3), (1, 1), (1, 3), (2, 1), (2, 2)] {
        world.exchange(asker, &id(of));
        world.sync(asker);
    }
    world.restart(2, false);
    world.nodes[2].up = false;
    world.exchange(0, &id(2));
    // n3 was heard before it was bound; nobody can adopt without hearing it again.
    assert!(matches!(world.status(0), Status::Bound { .. }));
    world.nodes[2].up = true;
    world.exchange(0, &id(3));
    world.sync(0);
    assert!(world.nodes[0].boot.adopted().is_some());
    world.nodes[1].up = false;
    world.exchange(2, &id(1));
    world.sync(2);
    assert_eq!(cluster_of(&world, 2), cluster_of(&world, 0));
}

#[test]
fn node_heard_to_be_bound_counts_though_it_went_down_since() {
    let mut world = World::new(3);
    for (asker, of) in [(0, 2), (0, 3), (1, 1), (1, 3)] {
        world.exchange(asker, &id(of));
        world.sync(asker);
    }
    world.exchange(0, &id(2));
    world.nodes[1].up = false;
    world.exchange(0, &id(2));
    assert_eq!(obstacle_at(&world, 0, &id(2)), None);
    world.nodes[0].up = false;
    for of in [1, 2] {
        world.exchange(2, &id(of));
    }
    assert!(world.nodes[2].writing.is_none(), "it has heard nobody");
    (world.nodes[0].up, world.nodes[1].up) = (true, true);
    for of in [1, 2] {
        world.exchange(2, &id(of));
    }
    world.sync(2);
    world.nodes[1].up = false;
    world.exchange(0, &id(3));
    assert!(matches!(world.status(0), Status::Adopting { .. }));
}

#[test]
fn member_started_again_needs_nobody() {
    let mut world = founded();
    world.restart(1, false);
    assert!(world.nodes[1].boot.adopted().is_some());
    assert!(world.tick(1).is_empty(), "it asks nobody");
}

#[test]
fn directory_emptied_before_anybody_was_bound_is_as_good_as_new() {
    let mut world = World::new(3);
    world.exchange(0, &id(3));
    world.wipe(2);
    world.settle();
    assert!(world.all_adopted());
}

/// n3's first answer is old: it must not be used once n3 was asked again.
#[test]
fn answer_older_than_the_last_question_binds_nobody() {
    let mut world = World::new(3);
    world.exchange(0, &id(3));
    assert_eq!(world.tick(0), [id(2), id(3)]);
    world.exchange(0, &id(2));
    assert_eq!(world.nodes[0].writing, None);
    world.wipe(2);
    world.exchange(0, &id(3));
    let Some(BootstrapEffect::Bind(first)) = &world.nodes[0].writing else { panic!("all have answered") };
    assert_eq!(first.storage[&id(3)], world.nodes[2].storage);
}

#[test]
fn directory_emptied_between_the_bindings_stops_the_founding_with_a_reason() {
    let mut world = first_one_bound();
    let lost = world.nodes[2].storage;
    world.wipe(2);
    world.settle();
    let found = world.nodes[2].storage;
    assert_eq!(obstacle_at(&world, 0, &id(3)), Some(Obstacle::OtherDirectory { expected: lost, found }));
    assert!(matches!(obstacle_at(&world, 1, &id(1)), Some(Obstacle::BoundElsewhere { .. })));
    assert!(world.status(0).to_string().contains("empty those of all nodes"), "{}", world.status(0));
    assert_eq!((world.bindings.len(), world.adopted.len()), (1, 0), "nobody binds beside a binding");
}

#[test]
fn node_whose_disk_was_replaced_refuses_to_vote_and_says_why() {
    let mut world = founded();
    let (cluster, recorded) = (cluster_of(&world, 0), world.nodes[2].storage);
    world.wipe(2);
    world.settle();
    let (node, found) = (id(3), world.nodes[2].storage);
    let status = world.status(2);
    assert_eq!(status, Status::Refused(Refusal::DiskReplaced { node, cluster, recorded, found }));
    for words in ["n3", "lost or swapped", "new id"] {
        assert!(status.to_string().contains(words), "{status}");
    }
    let hello = world.hello(2);
    assert_eq!((hello.bound, hello.adopted), (None, None));
    world.restart(2, false);
    world.settle();
    assert!(matches!(world.status(2), Status::Refused(_)), "and again after a restart");
}

#[test]
fn directory_set_back_to_before_its_binding_refuses_to_vote() {
    let mut world = founded();
    world.nodes[0].disk = Membership::default();
    world.restart(0, false);
    world.settle();
    let (cluster, storage) = (cluster_of(&world, 1), world.nodes[0].storage);
    assert_eq!(world.status(0), Status::Refused(Refusal::SetBack { cluster, storage }));
}

#[test]
fn directories_exchanged_between_nodes_are_refused() {
    let mut world = founded();
    let (one, two) = (world.nodes[0].clone(), world.nodes[1].clone());
    (world.nodes[0].storage, world.nodes[0].disk) = (two.storage, two.disk);
    (world.nodes[1].storage, world.nodes[1].disk) = (one.storage, one.disk);
    for (node, owner) in [(0, id(2)), (1, id(1))] {
        world.restart(node, false);
        let (node_id, cluster) = (world.nodes[node].id.clone(), cluster_of(&world, 2));
        let refusal = Refusal::DirectoryOfAnother { node: node_id, owner, cluster };
        assert_eq!(world.status(node), Status::Refused(refusal));
    }
}

#[test]
fn directory_copied_to_another_node_keeps_all_from_binding() {
    let mut world = World::new(3);
    world.nodes[2].storage = world.nodes[1].storage;
    world.restart(2, false);
    world.settle();
    let storage = world.nodes[1].storage;
    assert_eq!(obstacle_at(&world, 0, &id(2)), Some(Obstacle::CopiedDirectory { storage, other: id(3) }));
    assert_eq!(obstacle_at(&world, 1, &id(3)), Some(Obstacle::CopiedDirectory { storage, other: id(2) }));
    assert!(world.bindings.is_empty());
}

#[test]
fn nodes_with_different_files_bind_to_nothing_until_the_files_agree() {
    let mut world = World::new(3);
    world.nodes[1].file.nodes[0].weight = 2;
    world.restart(1, false);
    world.settle();
    assert_eq!(obstacle_at(&world, 0, &id(2)), Some(Obstacle::AnotherFile { epoch: Epoch(1) }));
    assert_eq!(obstacle_at(&world, 1, &id(1)), Some(Obstacle::AnotherFile { epoch: Epoch(1) }));
    assert!(world.bindings.is_empty());
    world.nodes[1].file = file(1, &[1, 2, 3]);
    world.restart(1, false);
    world.settle();
    assert!(world.all_adopted());
}

#[test]
fn file_changed_after_the_binding_is_named_and_the_binding_holds() {
    let mut world = first_one_bound();
    let mut changed = file(2, &[1, 2, 3]);
    changed.nodes[1].address = "elsewhere:1".into();
    world.nodes[0].file = changed;
    world.restart(0, false);
    let Status::Bound { file_difference: Some(difference), .. } = world.status(0) else {
        panic!("{}", world.status(0))
    };
    assert!(difference.contains("version is 2 in the file"), "{difference}");
    world.settle();
    assert!(world.all_adopted());
    assert_eq!(world.nodes[0].boot.adopted().unwrap().configuration.epoch, Epoch(1));
    assert_eq!(world.nodes[0].boot.file_standing(), Some(FileStanding::Newer));
}

#[test]
fn file_changed_before_its_node_was_bound_is_what_the_others_wait_for() {
    let mut world = first_one_bound();
    world.nodes[1].file = file(2, &[1, 2, 3]);
    world.restart(1, false);
    world.settle();
    assert_eq!(obstacle_at(&world, 0, &id(2)), Some(Obstacle::AnotherFile { epoch: Epoch(2) }));
}

#[test]
fn wrong_node_at_an_address_is_named_and_not_believed() {
    let mut world = World::new(3);
    world.rerouted.insert(id(2), 2);
    world.settle();
    assert_eq!(obstacle_at(&world, 0, &id(2)), Some(Obstacle::WrongNode { found: id(3) }));
    assert_eq!(obstacle_at(&world, 0, &id(3)), None);
    assert!(
        world.status(0).to_string().contains("n2: node n3 answers at its address"),
        "{}",
        world.status(0)
    );
    assert!(world.adopted.is_empty());
}

#[test]
fn node_of_another_cluster_is_named_by_a_node_that_is_bound() {
    let mut world = first_one_bound();
    let mut other = World::new(3);
    other.wipe(0);
    other.settle();
    world.nodes.push(other.nodes[1].clone());
    world.rerouted.insert(id(2), 3);
    world.settle();
    let cluster = cluster_of(&other, 1);
    assert_eq!(obstacle_at(&world, 0, &id(2)), Some(Obstacle::OtherCluster { cluster }));
    assert!(matches!(world.status(0), Status::Bound { .. }));
}

#[test]
fn node_that_a_running_cluster_does_not_name_stays_out() {
    let mut world = founded();
    world.add(id(4), file(2, &[1, 2, 3, 4]));
    world.settle();
    let cluster = cluster_of(&world, 0);
    assert_eq!(obstacle_at(&world, 3, &id(1)), Some(Obstacle::AdoptedWithoutMe { cluster, epoch: Epoch(1) }));
    assert_eq!(world.bindings.len(), 3);
}

#[test]
fn node_that_its_own_file_does_not_name_is_refused() {
    let boot = Bootstrap::new(id(9), StorageId(1), file(1, &[1, 2]), Membership::default());
    assert_eq!(boot.status(), Status::Refused(Refusal::NotInFile { node: id(9) }));
}

#[test]
fn nodes_are_asked_at_the_addresses_of_the_file_before_those_of_the_binding() {
    let mut world = first_one_bound();
    world.nodes[0].file = file(2, &[1, 2, 4]);
    world.nodes[0].file.nodes[1].address = "moved:1".into();
    world.restart(0, false);
    let mut out = Vec::new();
    world.nodes[0].boot.tick(&mut out);
    let ask = |node, address: &str| BootstrapEffect::Ask { node: id(node), address: address.into() };
    assert_eq!(out, [ask(2, "moved:1"), ask(3, "n3:7410"), ask(4, "n4:7410")]);
    out.clear();
    world.nodes[0].boot.tick(&mut out);
    assert_eq!(out, [], "nobody is asked twice at once");
}

#[test]
#[should_panic(expected = "nothing was to be made durable")]
fn sync_of_nothing_stops_the_process() {
    World::new(2).nodes[0].boot.synced(&mut Vec::new());
}
