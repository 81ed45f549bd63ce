# modeld.service -> modeld@.service: an instance for each GPU, apart from the others in all but the configuration.
1s|.*|# modeld@.service: modeld@0 is a daemon for GPU 0 alone. It listens on /run/modeld-0/modeld.sock; @SYSCONFDIR@/modeld/0.env may say\
# otherwise: WORKERS, LISTEN and METRICS, as [worker] workers, [server] listen and [metrics] listen have them.|
s|^Description=.*|Description=Inference daemon, instance %i|
s|/system.slice/%n$|/system.slice/system-%p.slice/%n|
s/^RuntimeDirectory=modeld$/&-%i/
s/^StateDirectory=modeld$/&-%i/
s|^ExecStart=.*|Environment=WORKERS=cuda:%i LISTEN=unix:modeld.sock METRICS=\
EnvironmentFile=-@SYSCONFDIR@/modeld/%i.env\
& --set worker.workers=${WORKERS} --set server.listen=${LISTEN} --set metrics.listen=${METRICS}|
s|systemctl kill --signal=USR2 --kill-whom=main modeld$|&@INSTANCE|
