ALTER USER IF EXISTS 'mempool'@'%' IDENTIFIED BY '{{secret "db-password"}}';
