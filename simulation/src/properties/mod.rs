//! What must hold in every run, one file each. All of them watch from outside: what nodes accept, what clients saw.

mod agreement;
mod lineage;
mod linearizability;

pub(crate) use agreement::Agreement;
pub(crate) use lineage::Lineage;
pub(crate) use linearizability::judge_histories;
