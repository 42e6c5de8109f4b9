//! The kernel's own network for a run, where the machine allows it: each process in a network namespace of its own,
//! all of them joined by a bridge in one more, where the gates and the clients are. What goes wrong here goes wrong
//! beneath TCP: packets are lost and sent again, connections are open on one side only.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;

use super::rules::{Direction, Span};
use crate::gauntlet::Party;
use crate::namespace::Namespace;

/// Seen inside the namespaces only, so every run can have the same.
const NETWORK: &str = "10.213.0";
const PORT: u16 = 7400;
/// All gates, as one range.
const GATES: &str = "10.213.0.96/27";
const FIRST_GATE: usize = 96;
/// Rules of faults come before this; the kernel has its own first otherwise.
const LOCAL_RULE: usize = 30_000;
/// Ways to lose packets and to be slow, the best first; the first one that this kernel has is taken.
const DISCIPLINES: [&str; 2] = ["netem delay 10ms 8ms loss 20%", "tbf rate 160kbit burst 1600 limit 4000"];

/// What goes wrong beneath TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gauntlet) enum Disturbance {
    /// The party's cable is pulled out.
    Unplug(Party),
    /// Packets vanish on these ways, without a word to anyone.
    Drop(Span),
    /// What is sent to the party (there), or what it sends (back), queues at a narrow place and is partly lost.
    Narrow(Party, Direction),
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unplug(party) => write!(f, "unplug {party}"),
            Self::Drop(span) => write!(f, "drop packets {span}"),
            Self::Narrow(party, Direction::There) => write!(f, "narrow cable to {party}"),
            Self::Narrow(party, Direction::Back) => write!(f, "narrow cable from {party}"),
        }
    }
}

/// The namespaces of a run and the cables between them.
#[derive(Debug)]
pub(in crate::gauntlet) struct Wires {
    hub: Namespace,
    parties: BTreeMap<Party, Namespace>,
    discipline: Option<&'static str>,
}

impl Wires {
    /// Lays cables for all parties.
    ///
    /// # Errors
    /// When this machine, or what this process may do, does not allow it.
    pub(in crate::gauntlet) fn lay(parties: &[Party]) -> io::Result<Self> {
        let hub = Namespace::new()?;
        let mut lines = vec!["link set lo up".to_owned(), "link add hub type bridge".to_owned()];
        lines.push(format!("address add {}/24 dev hub", hub_address()));
        let gates = parties.iter().filter(|party| matches!(party, Party::Node(_)));
        lines.extend(gates.map(|node| format!("address add {}/24 dev hub", gate(*node))));
        lines.push("link set hub up".to_owned());
        lines.extend(leave_room_for_rules());
        hub.run("ip", &lines)?;
        let mut wires = Self { hub, parties: BTreeMap::new(), discipline: None };
        for party in parties {
            wires.connect(*party)?;
        }
        wires.discipline = DISCIPLINES.into_iter().find(|discipline| wires.has(discipline));
        Ok(wires)
    }

    fn connect(&mut self, party: Party) -> io::Result<()> {
        let inside = Namespace::new()?;
        let cable = format!("link add {party} type veth peer name eth0 netns {}", inside.path());
        self.hub.run("ip", &[cable, format!("link set {party} master hub up")])?;
        let mut lines = vec!["link set lo up".to_owned()];
        lines.push(format!("address add {}/24 dev eth0", host(party)));
        lines.push("link set eth0 up".to_owned());
        lines.extend(leave_room_for_rules());
        inside.run("ip", &lines)?;
        self.parties.insert(party, inside);
        Ok(())
    }

    fn has(&self, discipline: &str) -> bool {
        let Some(party) = self.parties.keys().next() else { return false };
        let lines = [narrow(&party.to_string(), discipline), widen(&party.to_string())];
        self.hub.run("tc", &lines).is_ok()
    }

    /// Where the test itself is.
    pub(in crate::gauntlet) fn hub(&self) -> &Namespace {
        &self.hub
    }

    /// A party's own namespace.
    pub(in crate::gauntlet) fn of(&self, party: Party) -> Option<&Namespace> {
        self.parties.get(&party)
    }

    /// How narrow places are made, if they can be.
    pub(in crate::gauntlet) fn discipline(&self) -> Option<&'static str> {
        self.discipline
    }

    /// Lets something go wrong, or makes it good again. `number` is this disturbance's alone meanwhile.
    ///
    /// # Panics
    /// When the system refuses.
    pub(super) fn disturb(&self, number: usize, disturbance: Disturbance, begins: bool) {
        match disturbance {
            Disturbance::Unplug(party) => {
                let state = if begins { "down" } else { "up" };
                self.hub.run("ip", &[format!("link set {party} {state}")]).unwrap();
            }
            Disturbance::Drop(span) => {
                let verb = if begins { "add" } else { "delete" };
                for (inside, from, to) in self.ways(span) {
                    // Looked up when a packet comes in: nobody hears of it.
                    let rule = format!("rule {verb} pref {number} from {from} to {to} blackhole");
                    inside.run("ip", &[rule]).unwrap();
                }
            }
            Disturbance::Narrow(party, direction) => {
                let (inside, device) = match (direction, self.of(party)) {
                    (Direction::Back, Some(inside)) => (inside, "eth0".to_owned()),
                    _ => (&self.hub, party.to_string()),
                };
                let discipline = self.discipline.unwrap_or_default();
                let line = if begins { narrow(&device, discipline) } else { widen(&device) };
                inside.run("tc", &[line]).unwrap();
            }
        }
    }

    /// Where packets arrive that a span is about, and from where to where they go.
    fn ways(&self, span: Span) -> Vec<(&Namespace, String, String)> {
        // Between a router and the gates, or between a gate and its node.
        let (near, near_address, far_address) = match (span.caller, span.node) {
            (Some(router), node) => (router, host(router), node.map_or_else(|| GATES.to_owned(), gate)),
            (None, Some(node)) => (node, host(node), hub_address()),
            (None, None) => return Vec::new(),
        };
        let to_hub = (&self.hub, near_address.clone(), far_address.clone());
        let from_hub = self.of(near).map(|inside| (inside, far_address, near_address));
        let requests_go_to_hub = matches!(near, Party::Router(_));
        let is_wanted = |goes_to_hub: bool| {
            let direction =
                if goes_to_hub == requests_go_to_hub { Direction::There } else { Direction::Back };
            span.direction.is_none_or(|wanted| wanted == direction)
        };
        let from_hub = from_hub.filter(|_| is_wanted(false));
        is_wanted(true).then_some(to_hub).into_iter().chain(from_hub).collect()
    }

    /// Packets that TCP had to send again, everywhere.
    pub(in crate::gauntlet) fn resent(&self) -> u64 {
        let everywhere = self.parties.values().chain([&self.hub]);
        everywhere.filter_map(|inside| inside.enter(|| resent_here(&snmp_here()))).sum()
    }
}

/// Where a party listens.
pub(in crate::gauntlet) fn address(party: Party) -> String {
    format!("{}:{PORT}", host(party))
}

/// Where the gate of a node listens.
pub(in crate::gauntlet) fn gate_address(node: Party) -> String {
    format!("{}:{PORT}", gate(node))
}

/// Whether this is where a party is.
pub(super) fn is_at(party: Party, address: IpAddr) -> bool {
    host(party) == address.to_string()
}

fn hub_address() -> String {
    format!("{NETWORK}.1")
}

fn host(party: Party) -> String {
    match party {
        Party::Node(number) => format!("{NETWORK}.{}", 10 + number),
        Party::Router(number) => format!("{NETWORK}.{}", 20 + number),
    }
}

fn gate(node: Party) -> String {
    match node {
        Party::Node(number) | Party::Router(number) => format!("{NETWORK}.{}", FIRST_GATE + number),
    }
}

/// Lets rules come before the one that delivers what has arrived.
fn leave_room_for_rules() -> [String; 2] {
    [format!("rule add pref {LOCAL_RULE} lookup local"), "rule delete pref 0".to_owned()]
}

fn narrow(device: &str, discipline: &str) -> String {
    format!("qdisc replace dev {device} root {discipline}")
}

fn widen(device: &str) -> String {
    format!("qdisc delete dev {device} root")
}

fn snmp_here() -> String {
    std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default()
}

/// `RetransSegs` of the kernel's table: a line of names, and one of figures.
fn resent_here(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let place = lines.next()?.split_ascii_whitespace().position(|name| name == "RetransSegs")?;
    lines.next()?.split_ascii_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    const NODE: Party = Party::Node(1);
    const ROUTER: Party = Party::Router(1);
    /// How long it is watched that nothing arrives: TCP sends again a little later.
    const MOMENT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(60);

    fn wires() -> Option<Wires> {
        let say = |error: &io::Error| println!("skipped: no namespaces: {error}");
        Wires::lay(&[NODE, ROUTER]).inspect_err(say).ok()
    }

    /// A connection from the router to the node's gate, the gate's end first.
    fn connection(wires: &Wires) -> [TcpStream; 2] {
        let listener = wires.hub().enter(|| TcpListener::bind(gate_address(NODE)).unwrap());
        let gate: SocketAddr = gate_address(NODE).parse().unwrap();
        let router = wires.of(ROUTER).unwrap().enter(|| TcpStream::connect(gate).unwrap());
        let (accepted, from) = listener.accept().unwrap();
        assert!(is_at(ROUTER, from.ip()) && !is_at(NODE, from.ip()));
        [accepted, router]
    }

    fn arrives_within(patience: Duration, to: &mut TcpStream) -> bool {
        to.set_read_timeout(Some(patience)).unwrap();
        to.read_exact(&mut [0]).is_ok()
    }

    fn must_arrive(from: &mut TcpStream, to: &mut TcpStream) {
        from.write_all(b"x").unwrap();
        assert!(arrives_within(LONG, to));
    }

    #[test]
    fn what_a_disturbance_swallows_is_sent_again_when_it_is_over() {
        let Some(wires) = wires() else { return };
        let [mut gate, mut router] = connection(&wires);
        let between = |caller, node| Disturbance::Drop(Span { caller, node, direction: None });
        let everything =
            [between(Some(ROUTER), Some(NODE)), between(Some(ROUTER), None), Disturbance::Unplug(ROUTER)];
        for disturbance in everything {
            must_arrive(&mut router, &mut gate);
            must_arrive(&mut gate, &mut router);
            wires.disturb(1, disturbance, true);
            router.write_all(b"x").unwrap();
            gate.write_all(b"x").unwrap();
            assert!(!arrives_within(MOMENT, &mut gate), "{disturbance}");
            assert!(!arrives_within(MOMENT, &mut router), "{disturbance}");
            wires.disturb(1, disturbance, false);
            assert!(arrives_within(LONG, &mut gate) && arrives_within(LONG, &mut router), "{disturbance}");
        }
        for elsewhere in [between(None, Some(NODE)), Disturbance::Unplug(NODE)] {
            wires.disturb(1, elsewhere, true);
            must_arrive(&mut router, &mut gate);
            must_arrive(&mut gate, &mut router);
            wires.disturb(1, elsewhere, false);
        }
        assert!(wires.resent() > 0);
    }

    #[test]
    fn packets_are_dropped_in_one_direction_alone() {
        let Some(wires) = wires() else { return };
        let [mut gate, mut router] = connection(&wires);
        let direction = Some(Direction::There);
        let there = Disturbance::Drop(Span { caller: Some(ROUTER), node: Some(NODE), direction });
        wires.disturb(1, there, true);
        // That its acknowledgement is lost does not keep a byte back.
        must_arrive(&mut gate, &mut router);
        router.write_all(b"x").unwrap();
        assert!(!arrives_within(MOMENT, &mut gate));
        wires.disturb(1, there, false);
        assert!(arrives_within(LONG, &mut gate));
    }
}
