# An Elixir node: its name is that of the container, and every node of the cluster listens at port 4370.
exec elixir --name "app@$(hostname)" --cookie "$(cat /run/secrets/cookie)" --no-halt \
    --erl "-start_epmd false -erl_epmd_port 4370 -proto_dist inet_tls -ssl_dist_optfile /app/dist.conf" /app/app.exs
