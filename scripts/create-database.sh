#!/bin/sh
# Makes the two logins that Shunt needs: one owns the schema, the other runs and owns nothing.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres \
  -v owner_password="$POSTGRES_OWNER_PASSWORD" -v app_password="$POSTGRES_APP_PASSWORD" <<'SQL'
CREATE ROLE shunt_runtime NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE shunt_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOBYPASSRLS;
CREATE ROLE shunt_app LOGIN PASSWORD :'app_password' NOSUPERUSER NOBYPASSRLS;
GRANT shunt_runtime TO shunt_app;
GRANT shunt_runtime TO shunt_owner WITH ADMIN OPTION;
CREATE DATABASE shunt OWNER shunt_owner;
SQL
