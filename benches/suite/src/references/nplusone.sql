-- The response of nplusone.rs as one statement. $1 are the users.
SELECT json_build_object('data', json_build_object('nodes', json_agg(json_build_object(
    'id', users.id,
    'username', users.username,
    'displayName', users.display_name,
    'readings', json_build_object(
        'pageInfo', json_build_object('hasNextPage', list.rows > 5, 'endCursor', list.end_cursor),
        'nodes', coalesce(list.nodes, '[]')
    )
) ORDER BY asked.number)))::text
FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, number)
JOIN users ON users.id = asked.id
CROSS JOIN LATERAL (
    SELECT count(*) AS rows,
        max(reading.cursor) FILTER (WHERE reading.number = 5) AS end_cursor,
        json_agg(json_build_object(
            'id', reading.id,
            'question', reading.question,
            'createdAt', to_char(reading.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'spread', json_build_object('name', spread.name, 'displayName', spread_text.display_name),
            'cards', drawn.cards
        ) ORDER BY reading.number) FILTER (WHERE reading.number <= 5) AS nodes
    FROM (
        SELECT page.*, row_number() OVER (ORDER BY created_at DESC, id DESC) AS number,
            (extract(epoch FROM created_at) * 1000000)::bigint || ',' || id AS cursor
        FROM (
            SELECT id, question, created_at, spread_template_id
            FROM reading_sessions
            WHERE user_id = asked.id AND archived_at IS NULL AND privacy_level = 'public'
            ORDER BY created_at DESC, id DESC
            LIMIT 6
        ) AS page
    ) AS reading
    JOIN spread_templates AS spread ON spread.id = reading.spread_template_id
    JOIN spread_texts AS spread_text ON spread_text.spread_id = spread.id AND spread_text.locale = 'en'
    LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object(
            'orientation', upper(drawn.orientation),
            'positionName', drawn.position_name ->> 'en',
            'card', json_build_object('name', card_text.name)
        ) ORDER BY drawn.position_number) AS cards
        FROM reading_cards AS drawn
        JOIN wasteland_cards AS card ON card.id = drawn.card_id
        JOIN card_texts AS card_text ON card_text.card_id = card.id AND card_text.locale = 'en'
        WHERE drawn.reading_id = reading.id AND reading.number <= 5
    ) AS drawn ON TRUE
) AS list
