# A street for the container: PulseAudio's null sink, whose monitor runs in real time through a pipe into an ALSA device called
# `street`. The listener's unit lets it reach no socket of a sound server and there is no kernel device here, so the pipe stands
# where /dev/snd would. What is played to the sink is heard.
set -e
mkdir -p /srv/street
mkfifo -m 644 /srv/street/pcm
echo 'pcm.street { type file slave.pcm { type null } file /dev/null infile /srv/street/pcm format raw }' >/etc/asound.conf
cat >/etc/systemd/system/street.service <<'UNIT'
[Service]
Environment=HOME=/run/street XDG_RUNTIME_DIR=/run/street PULSE_RUNTIME_PATH=/run/street
RuntimeDirectory=street
RuntimeDirectoryMode=0700
ExecStart=/usr/bin/pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no "--load=module-native-protocol-unix socket=/run/street/native auth-anonymous=1" "--load=module-null-sink sink_name=street rate=48000 channels=1"
UNIT
cat >/etc/systemd/system/street-air.service <<'UNIT'
[Unit]
Requires=street.service
After=street.service
StartLimitIntervalSec=0
[Service]
Environment=HOME=/run/street PULSE_SERVER=unix:/run/street/native
ExecStart=/bin/sh -c 'exec parec --raw --format=s16le --rate=48000 --channels=1 --latency-msec=50 --device=street.monitor >/srv/street/pcm'
Restart=always
RestartSec=100ms
UNIT
cat >/etc/systemd/system/street-noise.service <<'UNIT'
[Service]
Environment=HOME=/run/street PULSE_SERVER=unix:/run/street/native
ExecStart=/bin/sh -c 'while :; do paplay --device=street /mnt/sound.wav; done'
UNIT
# a street is never silent: exact zeros are a fault, and the listener would open its microphone again and again
cat >/etc/systemd/system/street-wind.service <<'UNIT'
[Unit]
Requires=street.service
After=street.service
StartLimitIntervalSec=0
[Service]
Environment=HOME=/run/street PULSE_SERVER=unix:/run/street/native
ExecStart=/bin/sh -c 'exec pacat --raw --format=u8 --rate=48000 --channels=1 --volume=6554 --device=street </dev/urandom'
Restart=always
RestartSec=100ms
UNIT
systemctl daemon-reload
systemctl start street.service street-air.service street-wind.service
