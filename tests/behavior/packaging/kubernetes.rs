//! `configs/kubernetes`, whose files have to fit each other.

use serde_yaml::Value;
use sockeye::internal::config::parse_alone;

use super::{CONFIGURATION, assert_accepted, root, shipped, words};

#[test]
fn each_manifest_is_one_object() {
    let mut kinds: Vec<String> = std::fs::read_dir(root("configs/kubernetes"))
        .unwrap()
        .map(|entry| format!("kubernetes/{}", entry.unwrap().file_name().display()))
        .map(|path| {
            let manifest: Value =
                serde_yaml::from_str(&shipped(&format!("configs/{path}"))).unwrap();
            assert_eq!(manifest["metadata"]["name"], "sockeye", "{path}");
            assert!(manifest["apiVersion"].is_string(), "{path}");
            manifest["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    kinds.sort();
    assert_eq!(
        kinds,
        ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    );
}

#[test]
fn the_configuration_in_the_map_is_what_the_pods_run() {
    let map = manifest("configmap");
    let (key, text) = map["data"].as_mapping().unwrap().iter().next().unwrap();
    let config = parse_alone("configmap.yaml", text.as_str().unwrap());
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));

    let pod = &manifest("deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments = words(&container["args"]);
    assert_accepted(&arguments);
    let (volume, mount) = (&pod["volumes"][0], &container["volumeMounts"][0]);
    assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
    assert_eq!(volume["name"], mount["name"]);
    let path = format!("{}/{}", mount["mountPath"].as_str().unwrap(), key.as_str().unwrap());
    assert_eq!(path, CONFIGURATION);
    assert!(arguments.contains(&path));

    let (secret, mount) = (&pod["volumes"][1], &container["volumeMounts"][1]);
    assert_eq!(secret["name"], mount["name"]);
    for file in ["tls.crt", "tls.key"] {
        let path = format!("{}/{file}", mount["mountPath"].as_str().unwrap());
        assert!(text.as_str().unwrap().contains(&path), "{path}");
    }

    let ports = container["ports"].as_sequence().unwrap();
    for listener in &config.listeners {
        let port = u64::from(listener.bind.port());
        assert!(ports.iter().any(|open| open["containerPort"] == port), "{port}");
    }
    let admin = ports.iter().find(|open| open["name"] == "admin").unwrap();
    let admin = format!("admin: {{ bind: 0.0.0.0:{} }}", admin["containerPort"].as_u64().unwrap());
    assert!(text.as_str().unwrap().contains(&admin), "{admin}");
}

#[test]
fn the_service_finds_the_pods() {
    let (deployment, service) = (manifest("deployment"), manifest("service"));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&manifest("disruption")["spec"]["selector"]["matchLabels"], labels);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let names: Vec<&Value> =
        container["ports"].as_sequence().unwrap().iter().map(|port| &port["name"]).collect();
    let served: Vec<&Value> = service["spec"]["ports"].as_sequence().unwrap().iter().collect();
    assert!(served.iter().all(|port| names.contains(&&port["targetPort"])));
    let policy = &manifest("networkpolicy")["spec"];
    assert_eq!(&policy["podSelector"]["matchLabels"], labels);
    let open = policy["ingress"][0]["ports"].as_sequence().unwrap();
    assert_eq!(open.len(), served.len());
    for (open, served) in open.iter().zip(served) {
        assert_eq!(open["port"], served["targetPort"]);
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let (_, target) = container[probe].as_mapping().unwrap().iter().next().unwrap();
        assert!(names.contains(&&target["port"]), "{probe}");
    }
}

#[test]
fn the_orderly_end_has_the_time_it_needs() {
    let map = manifest("configmap");
    let config: Value =
        serde_yaml::from_str(map["data"]["sockeye.yaml"].as_str().unwrap()).unwrap();
    let seconds = |key: &str| -> u64 {
        config["shutdown"][key].as_str().unwrap().trim_end_matches('s').parse().unwrap()
    };
    let pod = &manifest("deployment")["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > seconds("delay") + seconds("timeout"), "{grace}");
}

#[test]
fn the_image_is_of_this_version() {
    let pod = &manifest("deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], concat!("sockeye:", env!("CARGO_PKG_VERSION")));
}

fn manifest(name: &str) -> Value {
    serde_yaml::from_str(&shipped(&format!("configs/kubernetes/{name}.yaml"))).unwrap()
}
