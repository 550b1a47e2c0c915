//! What the history keeps, each value once a second.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// How many series there are.
pub(in crate::admin) const SERIES: usize = Series::ALL.len();

/// A series. Levels are as they are; the others are counts for each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Series {
    Websockets,
    Polling,
    Stuck,
    NewSessions,
    EndsByClient,
    EndsByNode,
    EndsByProxy,
    EndsByOperator,
    MessagesFromClients,
    MessagesFromNodes,
    BytesFromClients,
    BytesFromNodes,
    Requests,
    Errors,
    Held,
    Connections,
    NodesOpen,
    Memory,
    Descriptors,
    Cpu,
}

impl Series {
    pub(in crate::admin) const ALL: [Self; 20] = [
        Self::Websockets,
        Self::Polling,
        Self::Stuck,
        Self::NewSessions,
        Self::EndsByClient,
        Self::EndsByNode,
        Self::EndsByProxy,
        Self::EndsByOperator,
        Self::MessagesFromClients,
        Self::MessagesFromNodes,
        Self::BytesFromClients,
        Self::BytesFromNodes,
        Self::Requests,
        Self::Errors,
        Self::Held,
        Self::Connections,
        Self::NodesOpen,
        Self::Memory,
        Self::Descriptors,
        Self::Cpu,
    ];

    /// The name in `/history`.
    pub(in crate::admin) fn name(self) -> &'static str {
        match self {
            Self::Websockets => "websockets",
            Self::Polling => "polling",
            Self::Stuck => "stuck",
            Self::NewSessions => "new_sessions",
            Self::EndsByClient => "ends_by_client",
            Self::EndsByNode => "ends_by_node",
            Self::EndsByProxy => "ends_by_proxy",
            Self::EndsByOperator => "ends_by_operator",
            Self::MessagesFromClients => "messages_from_clients",
            Self::MessagesFromNodes => "messages_from_nodes",
            Self::BytesFromClients => "bytes_from_clients",
            Self::BytesFromNodes => "bytes_from_nodes",
            Self::Requests => "requests",
            Self::Errors => "errors",
            Self::Held => "held",
            Self::Connections => "connections",
            Self::NodesOpen => "nodes_open",
            Self::Memory => "memory_bytes",
            Self::Descriptors => "descriptors",
            Self::Cpu => "cpu",
        }
    }

    /// The series of this name.
    pub(in crate::admin) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|series| series.name() == name)
    }

    /// Whether its values are the growth of a total in a second.
    pub(in crate::admin) fn is_rate(self) -> bool {
        match self {
            Self::NewSessions
            | Self::EndsByClient
            | Self::EndsByNode
            | Self::EndsByProxy
            | Self::EndsByOperator
            | Self::MessagesFromClients
            | Self::MessagesFromNodes
            | Self::BytesFromClients
            | Self::BytesFromNodes
            | Self::Requests
            | Self::Errors
            | Self::Cpu => true,
            Self::Websockets
            | Self::Polling
            | Self::Stuck
            | Self::Held
            | Self::Connections
            | Self::NodesOpen
            | Self::Memory
            | Self::Descriptors => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_a_name_and_a_slot_of_its_own() {
        for (index, series) in Series::ALL.into_iter().enumerate() {
            assert_eq!(series as usize, index, "{series:?}");
            assert_eq!(Series::from_name(series.name()), Some(series));
        }
        assert_eq!(Series::from_name("none"), None);
    }
}
