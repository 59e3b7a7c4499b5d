#!/bin/bash
# Makes a fresh Amazon Linux 2023 machine into the Qdrant of a deployment. Everything that lasts is
# on the volume, so that a new machine with the old volume goes on where the old one stopped; run
# again it changes nothing. Wants in its environment: VOLUME, ADDRESS, PARAMETERS, BACKUP (s3://...),
# AWS_DEFAULT_REGION; and beside it qdrant.tar.gz and snapshots.py.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/var/lib/qdrant}

wait_for() { # what, then a command that succeeds once it is there
    local what=$1
    shift
    for _ in $(seq 150); do
        "$@" >/dev/null 2>&1 && return
        sleep 2
    done
    echo "gave up waiting for $what" >&2
    exit 1
}

parameter() { # name below PARAMETERS; fails if there is none
    aws ssm get-parameter --name "$PARAMETERS/qdrant/$1" --with-decryption \
        --query Parameter.Value --output text
}

mount_the_volume() {
    local disk=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${VOLUME/-/}
    wait_for "the volume" test -b "$disk"
    # Only a volume without any file system is formatted.
    if [ -z "$(blkid -o value -s TYPE "$disk" || true)" ]; then
        mkfs.xfs -L qdrant "$disk"
    fi
    mkdir -p "$data"
    grep -q " $data " /etc/fstab || echo "LABEL=qdrant $data xfs defaults,noatime,nofail 0 2" >>/etc/fstab
    mountpoint -q "$data" || mount "$data"
    id qdrant >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /usr/sbin/nologin --uid 6333 qdrant
    install -d -o qdrant -g qdrant -m 0700 "$data/storage" "$data/snapshots" "$data/tls"
}

make_certificates() { # a CA that lives on the volume; a certificate for this address, and for tunnels
    cd "$data/tls"
    if [ ! -s ca.pem ]; then
        openssl ecparam -genkey -name prime256v1 -noout -out ca.key
        openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=windowshop private CA" \
            -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
            -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.pem
    fi
    if ! { [ -s cert.pem ] && openssl x509 -in cert.pem -noout -checkend 2592000 >/dev/null &&
        openssl x509 -in cert.pem -noout -checkip "$ADDRESS" | grep -q "does match"; }; then
        openssl ecparam -genkey -name prime256v1 -noout -out key.new
        openssl req -new -key key.new -subj "/CN=qdrant" -out request.pem
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 397 \
            -extfile <(printf 'subjectAltName=IP:%s,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$ADDRESS") \
            -out cert.new
        mv key.new key.pem
        mv cert.new cert.pem
        rm -f request.pem
        # By itself Qdrant reads a new certificate for REST alone.
        systemctl try-restart qdrant.service || true
    fi
    chown qdrant:qdrant ./*
    chmod 0600 ./*.key key.pem
}

agree_on_a_key() { # made here once; whoever may read the parameter may use Qdrant
    if ! key=$(parameter key); then
        key=$(openssl rand -hex 32)
        aws ssm put-parameter --name "$PARAMETERS/qdrant/key" --type SecureString --value "$key" >/dev/null
    fi
    install -m 0600 /dev/null /etc/windowshop-qdrant.env
    cat >/etc/windowshop-qdrant.env <<ENV
QDRANT__SERVICE__API_KEY=$key
QDRANT_URL=https://$ADDRESS:6333
QDRANT_CA=$data/tls/ca.pem
SNAPSHOTS=$data/snapshots
BACKUP=$BACKUP
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
AWS_USE_DUALSTACK_ENDPOINT=${AWS_USE_DUALSTACK_ENDPOINT:-false}
ENV
}

install_qdrant() {
    tar -xzf "$here/qdrant.tar.gz" -C /usr/local/bin qdrant
    chmod 0755 /usr/local/bin/qdrant
    install -m 0755 "$here/snapshots.py" /usr/local/bin/windowshop-qdrant
    mkdir -p /etc/qdrant
    cat >/etc/qdrant/config.yaml <<YAML
log_level: INFO
telemetry_disabled: true
storage:
  storage_path: $data/storage
  snapshots_path: $data/snapshots
  temp_path: $data/snapshots
service:
  host: 0.0.0.0
  http_port: 6333
  grpc_port: 6334
  enable_tls: true
  enable_cors: false
  enable_static_content: false
tls:
  cert: $data/tls/cert.pem
  key: $data/tls/key.pem
  cert_ttl: 3600
YAML
    cat >/etc/systemd/system/qdrant.service <<UNIT
[Unit]
Description=Qdrant
After=network-online.target
Wants=network-online.target
RequiresMountsFor=$data

[Service]
User=qdrant
EnvironmentFile=/etc/windowshop-qdrant.env
WorkingDirectory=$data
ExecStart=/usr/local/bin/qdrant --config-path /etc/qdrant/config.yaml --disable-telemetry
Restart=always
RestartSec=2
LimitNOFILE=262144
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
ReadWritePaths=$data

[Install]
WantedBy=multi-user.target
UNIT
    cat >/etc/systemd/system/qdrant-daily.service <<UNIT
[Unit]
Description=Certificate of Qdrant, a month before it ends; snapshot to S3

[Service]
Type=oneshot
EnvironmentFile=/etc/windowshop-qdrant.env
Environment=ADDRESS=$ADDRESS
ExecStartPre=/bin/bash -c "source $here/setup.sh && make_certificates"
ExecStart=/usr/local/bin/windowshop-qdrant take
UNIT
    cat >/etc/systemd/system/qdrant-daily.timer <<UNIT
[Unit]
Description=Daily care of Qdrant

[Timer]
OnCalendar=*-*-* 03:17:00
RandomizedDelaySec=1800
Persistent=true

[Install]
WantedBy=timers.target
UNIT
    systemctl daemon-reload
    systemctl enable qdrant.service qdrant-daily.timer
    systemctl restart qdrant.service
    systemctl start qdrant-daily.timer
}

tell_the_functions() { # where Qdrant is and which CA vouches for it
    wait_for "Qdrant" curl -fsS --cacert "$data/tls/ca.pem" "https://$ADDRESS:6333/healthz"
    aws ssm put-parameter --name "$PARAMETERS/qdrant/ca" --type String --overwrite \
        --value "$(cat "$data/tls/ca.pem")" >/dev/null
    aws ssm put-parameter --name "$PARAMETERS/qdrant/url" --type String --overwrite \
        --value "https://$ADDRESS:6333" >/dev/null
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    mount_the_volume
    make_certificates
    agree_on_a_key
    install_qdrant
    tell_the_functions
    echo "Qdrant is ready on $ADDRESS"
fi
