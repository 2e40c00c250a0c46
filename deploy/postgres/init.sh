#!/bin/sh
# A role and a database for each service that has one. Neither can read the
# other's. A third role, operator, is for the commands that look at both (parley
# keys). Run once, by the image of Postgres or by hand:
#
#   PGHOST=… PGUSER=postgres CONFIG_PASSWORD=… ORCHESTRATOR_PASSWORD=… OPERATOR_PASSWORD=… sh init.sh
set -eu

run() { # name password, SQL on standard input
	psql --no-psqlrc --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" --quiet --dbname "${POSTGRES_DB:-postgres}"
}

make() {
	run "$1" "$2" <<-'SQL'
		CREATE ROLE :"name" LOGIN PASSWORD :'password';
		CREATE DATABASE :"name" OWNER :"name";
		REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
	SQL
}

make config "$CONFIG_PASSWORD"
make orchestrator "$ORCHESTRATOR_PASSWORD"
run operator "$OPERATOR_PASSWORD" <<-'SQL'
	CREATE ROLE :"name" LOGIN PASSWORD :'password' IN ROLE config, orchestrator;
SQL
