//! The labels of the metrics: fixed lists, never anything that a request brings.

use std::fmt::{self, Write};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use roundtable_common::wire::Refused;
use roundtable_consensus::{Rejection, RequestBody};

use crate::store::Reclaim;

macro_rules! label_values {
    ($(#[doc = $doc:literal])+ $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $name {
            $($variant,)+
        }

        impl $name {
            /// All values.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }
    };
}

label_values! {
    /// What a request asks.
    RequestKind {
        Prepare = "prepare",
        Accept = "accept",
        Read = "read",
        Fetch = "fetch",
    }
}

label_values! {
    /// Why one request was not done.
    RejectionReason {
        Outbid = "outbid",
        ClockSkew = "clock_skew",
        DiskReserve = "disk_reserve",
        Overloaded = "overloaded",
        NotReady = "not_ready",
        NotMine = "not_mine",
    }
}

label_values! {
    /// Why a whole body was refused.
    RefusalReason {
        WrongCluster = "wrong_cluster",
        WrongNode = "wrong_node",
        WrongStorage = "wrong_storage",
        WrongEpoch = "wrong_epoch",
        NotAdopted = "not_adopted",
        NotReady = "not_ready",
        Malformed = "malformed",
        Overloaded = "overloaded",
    }
}

label_values! {
    /// What gave the room of dead values back.
    ReclaimKind {
        MergeValues = "merge_values",
        MergeRegisters = "merge_registers",
        CollectBlobs = "collect_blobs",
    }
}

impl ReclaimKind {
    pub(crate) fn of(work: Reclaim) -> Self {
        match work {
            Reclaim::MergeValues => Self::MergeValues,
            Reclaim::MergeRegisters => Self::MergeRegisters,
            Reclaim::CollectBlobs { .. } => Self::CollectBlobs,
        }
    }
}

impl RequestKind {
    pub(crate) fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Prepare { .. } => Self::Prepare,
            RequestBody::Accept { .. } => Self::Accept,
            RequestBody::Read { .. } => Self::Read,
            RequestBody::Fetch { .. } => Self::Fetch,
        }
    }
}

impl RejectionReason {
    pub(crate) fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Outbid(_) => Self::Outbid,
            Rejection::ClockSkew { .. } => Self::ClockSkew,
            Rejection::DiskReserve => Self::DiskReserve,
            Rejection::Overloaded => Self::Overloaded,
            Rejection::NotReady => Self::NotReady,
            Rejection::NotMine(_) => Self::NotMine,
        }
    }
}

impl RefusalReason {
    pub(crate) fn of(refused: &Refused) -> Self {
        match refused {
            Refused::WrongCluster { .. } => Self::WrongCluster,
            Refused::WrongNode { .. } => Self::WrongNode,
            Refused::WrongStorage { .. } => Self::WrongStorage,
            Refused::WrongEpoch { .. } => Self::WrongEpoch,
            Refused::NotAdopted { .. } => Self::NotAdopted,
            Refused::NotReady { .. } => Self::NotReady,
            Refused::Malformed { .. } => Self::Malformed,
            Refused::Overloaded => Self::Overloaded,
        }
    }
}

/// The label of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    pub(crate) kind: RequestKind,
}

/// The label of rejections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RejectionLabel {
    pub(crate) reason: RejectionReason,
}

/// The label of refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabel {
    pub(crate) reason: RefusalReason,
}

/// The label of work that gives room back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReclaimLabel {
    pub(crate) work: ReclaimKind,
}
