//! The settings of each product.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::doctor::product::Product;

/// How WebSockets pass.
pub(super) fn upgrade(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
             $connection_upgrade; with map $http_upgrade $connection_upgrade { default upgrade; '' close; }. A \
             proxy_set_header in the location hides all those of the levels above"
        }
        Product::IngressNginx => {
            "WebSockets work without annotations; look for configuration-snippet or proxy-set-headers that \
             sets Connection or Upgrade, and for nginx.ingress.kubernetes.io/proxy-http-version: \"1.0\""
        }
        Product::Haproxy => {
            "mode http passes Upgrade by itself; look for http-request del-header Upgrade or Connection, \
             option httpclose, and an acl that sends Upgrade to another backend"
        }
        Product::Alb => {
            "the target group must have protocol version HTTP1, not HTTP2 or gRPC; and each path of Socket.IO \
             must have a rule to it"
        }
        Product::Traefik => {
            "WebSockets work by themselves; look for a headers middleware that sets Connection or Upgrade, \
             and for a buffering or compress middleware on this router"
        }
        Product::Caddy => {
            "reverse_proxy passes Upgrade by itself; look for header_up Connection or Upgrade, and for a \
             transport with versions 2 only"
        }
        Product::Cloudflare => {
            "Network > WebSockets: on. Then it is the origin: run the doctor on the origin's URL"
        }
        Product::Sockeye => {
            "sockeye route GET URL with --header 'Upgrade: websocket' says what becomes of it"
        }
        Product::Node => {
            "attach Socket.IO to the server that listens: new Server(httpServer), not to app"
        }
    }
}

/// How sessions stay on their node.
pub(super) fn sticky(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "ip_hash in the upstream, or hash $remote_addr consistent if it has keepalive; behind another \
             balancer with the address of the client from set_real_ip_from and real_ip_header"
        }
        Product::IngressNginx => {
            "nginx.ingress.kubernetes.io/affinity: cookie and session-cookie-name; clients on Node.js keep no \
             cookies: for them nginx.ingress.kubernetes.io/upstream-hash-by: \"$remote_addr\""
        }
        Product::Haproxy => {
            "cookie SERVERID insert indirect nocache in the backend, and cookie NAME on each server; clients on \
             Node.js keep no cookies: for them balance source, or stick on url_param(sid)"
        }
        Product::Alb => {
            "target group > attributes > stickiness: on, by lb_cookie. Clients on Node.js keep no cookies: they \
             need withCredentials and a cookie jar, or transports: [\"websocket\"]"
        }
        Product::Traefik => {
            "loadBalancer.sticky.cookie on the service; clients on Node.js keep no cookies: for them \
             transports: [\"websocket\"]"
        }
        Product::Caddy => "lb_policy cookie, or lb_policy ip_hash for clients that keep no cookies",
        Product::Cloudflare => "Load Balancing > session affinity: by cookie; or it is the origin",
        Product::Sockeye => {
            "affinity of the upstream must not be none, and all proxies need the same nodes and keys; list \
             each process as a node of its own"
        }
        Product::Node => {
            "@socket.io/sticky in the primary process of node:cluster; PM2: @socket.io/pm2; or a port for each \
             process, and a sticky proxy"
        }
    }
}

/// What ends idle sessions.
pub(super) fn idle(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "proxy_read_timeout must be longer than pingInterval + pingTimeout: write 75s or more"
        }
        Product::IngressNginx => {
            "nginx.ingress.kubernetes.io/proxy-read-timeout: \"3600\" and proxy-send-timeout: \"3600\""
        }
        Product::Haproxy => {
            "timeout tunnel 1h for WebSockets; timeout server and timeout client must be longer than \
             pingInterval for polls: write 60s"
        }
        Product::Alb => {
            "idle_timeout.timeout_seconds (60 by default) must be longer than pingInterval"
        }
        Product::Traefik => {
            "entryPoints.NAME.transport.respondingTimeouts readTimeout and idleTimeout, and \
             serversTransport.forwardingTimeouts.responseHeaderTimeout must be longer than pingInterval"
        }
        Product::Caddy => {
            "transport http { response_header_timeout, read_timeout }, stream_timeout: off"
        }
        Product::Cloudflare => {
            "it ends what is silent for 100 s: pingInterval must be shorter; what is cut sooner is cut by the \
             origin"
        }
        Product::Sockeye => "tunnel.idle_timeout and response_timeout of the route: write auto",
        Product::Node => {
            "server.timeout, server.requestTimeout and server.keepAliveTimeout of node:http"
        }
    }
}

/// What bounds messages.
pub(super) fn payload(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "client_max_body_size must be at least maxHttpBufferSize (1 MB by default)"
        }
        Product::IngressNginx => {
            "nginx.ingress.kubernetes.io/proxy-body-size must be at least maxHttpBufferSize"
        }
        Product::Haproxy => {
            "look for http-request deny on req.body_size or content-length, and for option \
             http-buffer-request with a small tune.bufsize"
        }
        Product::Alb => "WAF: the body limit of a web ACL; the balancer itself has none",
        Product::Traefik => "the buffering middleware: maxRequestBodyBytes",
        Product::Caddy => "request_body { max_size }",
        Product::Cloudflare => "100 MB for requests by plan; less is a WAF rule",
        Product::Sockeye => "body_max of the route: write auto",
        Product::Node => "maxHttpBufferSize",
    }
}

/// What holds responses back.
pub(super) fn buffering(product: Product) -> &'static str {
    match product {
        Product::Nginx => "proxy_buffering off on the route of Socket.IO",
        Product::IngressNginx => "nginx.ingress.kubernetes.io/proxy-buffering: \"off\"",
        Product::Haproxy => {
            "look for http-response wait-for-body and for compression on this route"
        }
        Product::Traefik => "no buffering middleware on this router",
        Product::Caddy => "flush_interval -1",
        Product::Alb | Product::Cloudflare => {
            "it does not buffer short responses: look at the origin"
        }
        Product::Sockeye => "it does not buffer: look at what is in front of it",
        Product::Node => "look for a middleware that buffers or compresses responses",
    }
}

/// Why no node answers.
pub(super) fn unreachable(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "the address in proxy_pass or upstream; its error log says `connect() failed` or `timed out`. In a \
             container, localhost is the container"
        }
        Product::IngressNginx => {
            "kubectl get endpoints of the service: it has none that is ready, or another port"
        }
        Product::Haproxy => {
            "show servers state: no server is up; look at the check and the address"
        }
        Product::Alb => {
            "target health: the health check's path must answer 200; /socket.io/ without a query answers 400"
        }
        Product::Traefik => {
            "the service's URL or loadbalancer.server.port, and the network of the container"
        }
        Product::Caddy => "the address in reverse_proxy",
        Product::Cloudflare => "the origin does not answer: run the doctor on its URL",
        Product::Sockeye => "sockeye nodes says which node is unreachable, and why",
        Product::Node => "is the process running, on this port?",
    }
}

/// How nodes learn who the client is; nothing where that needs no setting.
pub(super) fn forwarded(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto \
             $scheme;"
        }
        Product::Haproxy => {
            "option forwardfor, and http-request set-header X-Forwarded-Proto https if { ssl_fc }"
        }
        Product::IngressNginx
        | Product::Alb
        | Product::Traefik
        | Product::Caddy
        | Product::Cloudflare
        | Product::Sockeye
        | Product::Node => "",
    }
}

/// How `Host` stays.
pub(super) fn host(product: Product) -> &'static str {
    match product {
        Product::Nginx => "proxy_set_header Host $host;",
        Product::Caddy => "no header_up Host",
        Product::Traefik => "passHostHeader: true",
        Product::Haproxy => "look for http-request set-header Host",
        Product::IngressNginx => "no nginx.ingress.kubernetes.io/upstream-vhost",
        Product::Alb => "routing.http.preserve_host_header.enabled: true",
        Product::Cloudflare | Product::Sockeye | Product::Node => "",
    }
}

/// How paths stay.
pub(super) fn path(product: Product) -> &'static str {
    match product {
        Product::Nginx => {
            "location /socket.io/ { proxy_pass http://nodes; } without a path behind the upstream, which would \
             replace /socket.io/"
        }
        Product::IngressNginx => {
            "a path /socket.io/ of pathType Prefix in the Ingress, and no rewrite-target for it"
        }
        Product::Haproxy => {
            "use_backend for path_beg /socket.io/; look for http-request replace-path"
        }
        Product::Alb => "a rule for the path /socket.io/* with the target group of the nodes",
        Product::Traefik => "PathPrefix(`/socket.io/`) in the rule, and no stripPrefix for it",
        Product::Caddy => {
            "handle /socket.io/* { reverse_proxy … }, and not handle_path, which strips"
        }
        Product::Cloudflare => "look at the origin, and for redirect and transform rules",
        Product::Sockeye => "sockeye route GET URL says which route takes it",
        Product::Node => "the option path of the server",
    }
}

/// How browsers use HTTP/1.1 for WebSockets, where there is a setting.
pub(super) fn http2(product: Product) -> &'static str {
    match product {
        Product::Haproxy => {
            "h2-workaround-bogus-websocket-clients, so that browsers use HTTP/1.1 for WebSockets"
        }
        Product::Nginx
        | Product::IngressNginx
        | Product::Alb
        | Product::Traefik
        | Product::Caddy
        | Product::Cloudflare
        | Product::Sockeye
        | Product::Node => "",
    }
}
