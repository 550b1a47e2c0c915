//! `FakeDns`: a DNS server whose every answer a test decides.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A DNS server on a UDP port of its own. Dropping it closes the port.
pub struct FakeDns {
    pub address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: watch::Sender<usize>,
    task: JoinHandle<()>,
}

/// What the server answers.
#[derive(Clone)]
pub enum Says {
    /// Nothing at all.
    Silence,
    /// That it cannot, or that there is no such name.
    Code(ResponseCode),
    /// These of its records that are asked for; none is an answer too.
    Records { answers: Vec<Record>, additionals: Vec<Record> },
    /// All of these, to who asks for services of the first one's name; none to others.
    Chain(Vec<Record>),
}

impl FakeDns {
    /// A server that says this until it is told otherwise.
    pub async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let says = Arc::new(Mutex::new(says));
        let asked = watch::Sender::new(0);
        let task = tokio::spawn(serve(socket, says.clone(), asked.clone()));
        Self { address, says, asked, task }
    }

    /// From now on it says this.
    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How many lookups there were: questions for addresses of the sixth version do not count.
    pub fn lookups(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until it was asked for the `count`th time from now on.
    pub async fn until_asked(&self, count: usize) {
        let mut asked = self.asked.subscribe();
        let all = *asked.borrow() + count;
        let asked = asked.wait_for(|asked| *asked >= all);
        tokio::time::timeout(Duration::from_secs(20), asked).await.expect("in time").unwrap();
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// That `name` has these addresses, for `ttl` seconds.
pub fn addresses(name: &str, addresses: &[IpAddr], ttl: u32) -> Says {
    let answers = addresses.iter().map(|address| address_record(name, *address, ttl)).collect();
    Says::Records { answers, additionals: Vec::new() }
}

/// That `name` has these services (priority, weight, target, port); the target's address may be
/// told besides.
pub fn services(
    name: &str,
    services: &[(u16, u16, &str, u16)],
    told: &[(&str, IpAddr)],
    ttl: u32,
) -> Says {
    let service = |(priority, weight, target, port): &(u16, u16, &str, u16)| {
        let srv = SRV::new(*priority, *weight, *port, Name::from_ascii(target).unwrap());
        Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::SRV(srv))
    };
    let answers = services.iter().map(service).collect();
    let additionals = told.iter().map(|(host, address)| address_record(host, *address, ttl));
    Says::Records { answers, additionals: additionals.collect() }
}

/// That `name` is an alias of `target`, and what that has.
pub fn alias(name: &str, target: &str, says: Says, ttl: u32) -> Says {
    let [name, target] = [name, target].map(|name| Name::from_ascii(name).unwrap());
    let alias = Record::from_rdata(name, ttl, RData::CNAME(CNAME(target)));
    match says {
        Says::Records { answers, .. } => {
            Says::Chain(std::iter::once(alias).chain(answers).collect())
        }
        Says::Silence | Says::Code(_) | Says::Chain(_) => panic!("there are no records"),
    }
}

fn address_record(name: &str, address: IpAddr, ttl: u32) -> Record {
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::from(address))
}

async fn serve(socket: UdpSocket, says: Arc<Mutex<Says>>, asked: watch::Sender<usize>) {
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let says = says.lock().unwrap().clone();
        if let Some(answer) = answer(&question, says) {
            socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
        if question.queries[0].query_type() != RecordType::AAAA {
            asked.send_modify(|asked| *asked += 1);
        }
    }
}

fn answer(question: &Message, says: Says) -> Option<Message> {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_queries(question.queries.clone());
    match says {
        Says::Silence => return None,
        Says::Code(code) => answer.metadata.response_code = code,
        Says::Records { answers, additionals } => {
            let query = &question.queries[0];
            let fits = |record: &Record| {
                record.record_type() == query.query_type() && record.name == *query.name()
            };
            answer.insert_answers(answers.into_iter().filter(fits).collect());
            answer.insert_additionals(additionals);
        }
        Says::Chain(answers) => {
            let query = &question.queries[0];
            let is_meant = answers.first().is_some_and(|first| first.name == *query.name());
            if is_meant && query.query_type() == RecordType::SRV {
                answer.insert_answers(answers);
            }
        }
    }
    Some(answer)
}
