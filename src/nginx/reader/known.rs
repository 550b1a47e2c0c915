//! Files that come with nginx or with well-known programs, and are often not at hand.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// What the file at `path` usually contains, if it is one that everybody has.
pub(super) fn content(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, content)| *content)
}

const KNOWN: [(&str, &str); 12] = [
    // The types of files, which Sockeye knows.
    ("mime.types", ""),
    ("mime-types.conf", ""),
    ("fastcgi_params", ""),
    ("fastcgi.conf", ""),
    ("fastcgi-php.conf", ""),
    ("uwsgi_params", ""),
    ("scgi_params", ""),
    ("ssl-dhparams.pem", ""),
    // Of Debian.
    (
        "proxy_params",
        "proxy_set_header Host $http_host;\n\
         proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme;\n",
    ),
    // Of certbot.
    (
        "options-ssl-nginx.conf",
        "ssl_session_cache shared:le_nginx_SSL:10m;\n\
         ssl_session_timeout 1440m;\n\
         ssl_session_tickets off;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_prefer_server_ciphers off;\n",
    ),
    ("snakeoil.conf", ""),
    ("modules.conf", ""),
];
